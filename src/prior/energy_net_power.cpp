// The power iterations of the nets' spectral norms, once an update or within a chain.
#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include "prior/energy_net.h"

namespace hebm::prior {

void EnergyNet::power_iterate(std::int64_t times) const {
  if (!options_.spectral_norm) return;
  for (const auto& weight : weights_) weight.iterate(static_cast<int>(times));
}

PowerSequence EnergyNet::power_sequence(std::int64_t chain_steps) const {
  PowerSequence out;
  if (!options_.spectral_norm) return out;
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> columns;  // [number of weights] of [K]
  for (const auto& stored : weights_) {
    const nets::SpectralWeight moving{stored.weight, stored.u.clone(), stored.v.clone()};
    std::vector<at::Tensor> sigmas;
    for (std::int64_t k = 0; k < chain_steps; ++k) {
      moving.iterate(1);
      sigmas.push_back(moving.sigma());
    }
    columns.push_back(at::stack(sigmas));
    moving.iterate(1);
    out.positive.u.push_back(moving.u.clone());
    out.positive.v.push_back(moving.v.clone());
    moving.iterate(1);
    out.negative.u.push_back(moving.u);
    out.negative.v.push_back(moving.v);
  }
  out.sigma = at::stack(columns, 1);
  return out;
}

void EnergyNet::adopt(const PowerSequence& sequence) const {
  if (!options_.spectral_norm) return;
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    weights_[i].u.copy_(sequence.negative.u[i]);
    weights_[i].v.copy_(sequence.negative.v[i]);
  }
}

}  // namespace hebm::prior
