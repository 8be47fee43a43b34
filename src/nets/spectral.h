// Spectral normalisation as torch's legacy spectral_norm does it (Miyato et al. 2018): W as [out,
// rest], one stored pair u, v, effective weight W / sigma with sigma = u^T W v and a gradient
// through sigma. u and v are state, not converged: never recomputed by SVD. Here power iterations
// run once an optimiser step, not at every forward (weights are frozen in between).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <vector>
#include "nets/parameters.h"

namespace hebm::nets {

struct SpectralWeight {
  at::Tensor weight;         // [out, ...], the raw parameter ("weight_orig")
  at::Tensor u;              // [out]
  at::Tensor v;              // [rest]
  at::Tensor fixed_sigma{};  // what effective() divides by, without a gradient; undefined: sigma()

  // v = W^T u / max(|W^T u|, eps), u = W v / max(|W v|, eps), eps = 1e-12; in place, without
  // gradient.
  void iterate(int times) const;
  // u^T W v, a scalar; differentiable in W.
  at::Tensor sigma() const;
  // W / sigma, same shape; differentiable in W.
  at::Tensor effective() const;
};

// Registers name.weight_orig and the states name.weight_u, name.weight_v, which start random.
SpectralWeight make_spectral(
    Parameters& params, const std::string& name, const std::vector<std::int64_t>& shape, double scale = 1.0);

inline constexpr int kPowerIterations = 4;        // of the penalty, an update
inline constexpr int kFirstPowerIterations = 40;  // before the first

// NVAE's spectral regularisation (Vahdat & Kautz 2020, Sec. 3.2): sum of the largest singular
// values of many weights as matrices [out, rest]. Equal shapes are stacked, so a power iteration is
// one batched product a shape. The vectors are state of the training, not of the net.
class SpectralPenalty {
 public:
  // Shapes, types and devices of `weights`; start vectors N(0, 1), normalised, from the seed.
  SpectralPenalty(const std::vector<at::Tensor>& weights, std::uint64_t seed);

  // Power iterations without gradient: v = W^T u / max(|W^T u|, eps), u = W v / max(|W v|, eps),
  // eps = 1e-3.
  void iterate(const std::vector<at::Tensor>& weights, int times);
  // sum u^T W v; differentiable in the weights, which come in the constructor's order.
  at::Tensor value(const std::vector<at::Tensor>& weights) const;
  // Adds gradient (a scalar) times d value() / d weight to the weights' grad(), shape by shape.
  void backward(const std::vector<at::Tensor>& weights, const at::Tensor& gradient) const;
  // "PREFIX.u.0", "PREFIX.v.0", ... by shape in order of appearance; live.
  std::vector<NamedTensor> state(const std::string& prefix) const;
 private:
  struct Group {
    std::vector<std::size_t> members;
    at::Tensor u, v;  // [n, out, 1], [n, rest, 1]
  };
  static at::Tensor stacked(const Group& group, const std::vector<at::Tensor>& weights);  // [n, out, rest]
  static at::Tensor sigmas(const Group& group, const std::vector<at::Tensor>& weights);   // their sum, a scalar

  std::vector<Group> groups_;
};

}  // namespace hebm::nets
