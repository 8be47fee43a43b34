// NVAE's spectral regularisation (Vahdat & Kautz 2020, Sec. 3.2): sum of the largest singular
// values of many weights as matrices [out, rest]. Equal shapes are stacked, so a power iteration is
// one batched product a shape. The vectors are state of the training, not of the net.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <vector>
#include "nets/parameters.h"

namespace hebm::nets {

inline constexpr int kPowerIterations = 4;        // an update
inline constexpr int kFirstPowerIterations = 40;  // before the first

class SpectralPenalty {
 public:
  // Shapes, types and devices of `weights`; start vectors N(0, 1), normalised, from the seed.
  SpectralPenalty(const std::vector<at::Tensor>& weights, std::uint64_t seed);

  // Power iterations without gradient: v = W^T u / max(|W^T u|, eps), u = W v / max(|W v|, eps),
  // eps = 1e-3.
  void iterate(const std::vector<at::Tensor>& weights, int times);
  // sum u^T W v; differentiable in the weights, which come in the constructor's order.
  at::Tensor value(const std::vector<at::Tensor>& weights) const;
  // "PREFIX.u.0", "PREFIX.v.0", ... by shape in order of appearance; live.
  std::vector<NamedTensor> state(const std::string& prefix) const;
 private:
  struct Group {
    std::vector<std::size_t> members;
    at::Tensor u, v;  // [n, out, 1], [n, rest, 1]
  };
  static at::Tensor stacked(const Group& group, const std::vector<at::Tensor>& weights);  // [n, out, rest]

  std::vector<Group> groups_;
};

}  // namespace hebm::nets
