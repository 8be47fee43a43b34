// NVAE while it is trained: batch norm over the global batch, effective weights made once an
// update, and NVAE's two regularisers, lambda * (sum of the largest singular values of all
// convolutions + sum over batch norms of max |gamma|).
#pragma once
#include <cstdint>
#include <vector>

#include "nets/batch_norm.h"
#include "nets/spectral_penalty.h"
#include "vae/nvae.h"

namespace hebm::vae {

class NvaeTraining final : public Pass {
 public:
  // `net` and this object stay where they are; `sum` adds over ranks, in the same order on all of
  // them.
  NvaeTraining(const Nvae& net, nets::SumOverRanks sum, std::uint64_t seed);

  const Nvae& net() const { return net_; }
  // Once, on the starting weights: the first power iterations.
  void warm_up();
  // Data-dependent start (Salimans & Kingma 2016) from x [B, C, H, W], noise [B, D]: one forward in
  // which every weight-normalised convolution without a mask gets norm and bias so that its output
  // has mean 0 and standard deviation 1/5 a channel. NVAE's code does so for cells without batch
  // norm alone. Running statistics stay.
  void initialise(const at::Tensor& x, const at::Tensor& noise);
  // Before an update's forward passes: the effective weights of the present parameters,
  // differentiable; with `penalised` also the power iterations that penalty() needs.
  void begin_update(bool penalised);
  Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const { return net_.posterior(x, noise, *this); }
  at::Tensor decode(const Posterior& q) const { return net_.decode_tail(q.state, *this); }
  // Both sums of the regulariser, a scalar; the same on every rank.
  at::Tensor penalty() const;
  // Power-iteration vectors; live.
  std::vector<nets::NamedTensor> state() const { return spectral_.state("spectral"); }

  at::Tensor norm(const BatchNorm& norm, const at::Tensor& x) const override;
  at::Tensor norm_silu(const BatchNorm& norm, const at::Tensor& x) const override;
  at::Tensor conv(const NvaeConv& conv, const at::Tensor& x) const override;

 private:
  const Nvae& net_;
  nets::NormMode mode_;
  std::vector<at::Tensor> effective_;  // by NvaeConv::index
  nets::SpectralPenalty spectral_;
};

// The decoder's batch-norm statistics of one forward from u [B, D] at temperature 1 (the encoder's
// are untouched): the running statistics move by `momentum` towards those of this batch alone.
void update_decoder_statistics(const Nvae& net, const at::Tensor& u, double momentum);
// Those states of the net that it moves, in a fixed order; live.
std::vector<nets::NamedTensor> decoder_statistics(const Nvae& net);

}  // namespace hebm::vae
