#include "sample/draws.h"

#include <memory>

#include "prior/forward_pair.h"
#include "prior/reverse_chain.h"

namespace hebm::sample {

DrawLatents gaussian_draws(const vae::Backbone& backbone) {
  return [&backbone](std::uint64_t seed, const prior::ChainIds& ids) {
    return prior::normal_rows(backbone.dim(), {seed, 0, Purpose::kPriorNoise}, ids, {}, backbone.params().device());
  };
}

DrawLatents chain_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone, const prior::LangevinOptions& langevin) {
  const auto chain = std::make_shared<prior::ReverseChain>(prior, backbone, langevin);
  return [chain](std::uint64_t seed, const prior::ChainIds& ids) { return chain->sample(seed, ids); };
}

}  // namespace hebm::sample
