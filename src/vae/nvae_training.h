// NVAE while it is trained: batch norm over the global batch, effective weights made once an
// update, and NVAE's two regularisers, lambda * (sum of the largest singular values of all
// convolutions + sum over batch norms of max |gamma|).
#pragma once
#include "nets/spectral.h"
#include "vae/nvae.h"

namespace hebm::vae {

class NvaeTraining final : public BatchStatistics, public Pass {
 public:
  // `net` and this object stay where they are.
  NvaeTraining(const Nvae& net, nets::SumOverRanks sum, std::uint64_t seed);

  // Salimans & Kingma 2016: one forward in which every weight-normalised convolution without a mask
  // gets norm and bias so that its output has mean 0 and standard deviation 1/5 a channel. NVAE's
  // code does so for cells without batch norm alone.
  void initialise(const at::Tensor& x, const at::Tensor& noise) override;
  void warm_up() override;
  // The effective weights of the present parameters, as leaves of the graph: their gradients go on
  // to the parameters in end_update().
  void begin_update(bool penalised) override;
  void end_update(const at::Tensor& of_penalty) override;
  void recompute(bool on) override { recompute_ = on; }
  Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const override {
    return net_.posterior(run_, x, noise);
  }
  at::Tensor decode(const Posterior& q) const override { return run_.image(q.state); }
  at::Tensor penalty() const override;
  std::vector<nets::NamedTensor> state() const override { return spectral_.state("spectral"); }
  std::vector<nets::NamedTensor> decoder_statistics() const override;
  void update_decoder_statistics(const at::Tensor& u, double momentum) const override;

  at::Tensor conv(const NvaeConv& conv, const at::Tensor& x) const override;
  Tensors part(const Part& part, const Tensors& inputs) const override;
 private:
  const Nvae& net_;
  NvaeRun run_{net_.parts(), *this};
  std::vector<at::Tensor> effective_;  // by NvaeConv::index; none between updates
  nets::SpectralPenalty spectral_;
  bool recompute_ = false;
};

}  // namespace hebm::vae
