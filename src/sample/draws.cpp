#include "sample/draws.h"

#include <memory>

#include "nets/device.h"
#include "prior/forward_pair.h"
#include "prior/label_draws.h"
#include "prior/reverse_chain.h"

namespace hebm::sample {

DrawLatents gaussian_draws(const vae::Backbone& backbone) {
  return [&backbone](std::uint64_t seed, const prior::ChainIds& ids) {
    return prior::normal_rows(backbone.dim(), {seed, 0, Purpose::kPriorNoise}, ids, {}, backbone.params().device());
  };
}

DrawLatents chain_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                        const prior::LangevinOptions& langevin) {
  const auto chain = std::make_shared<prior::ReverseChain>(prior, backbone, langevin);
  return [chain](std::uint64_t seed, const prior::ChainIds& ids) { return chain->sample(seed, ids); };
}

DrawLatents nce_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                      const prior::LangevinOptions& langevin, const prior::NceOptions& options) {
  const auto sampler = std::make_shared<prior::NceSampler>(prior, backbone, langevin, options.proposals);
  const bool resampling = options.sampler == "resampling";
  return [sampler, resampling](std::uint64_t seed, const prior::ChainIds& ids) {
    return resampling ? sampler->resample(seed, ids) : sampler->langevin(seed, ids);
  };
}

DrawLatents labelled_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                           const prior::LangevinOptions& langevin, std::vector<std::int64_t> categories,
                           double guidance, std::int64_t candidates) {
  const auto chain = std::make_shared<prior::ReverseChain>(prior, backbone, langevin);
  const at::Tensor row = nets::on_device(categories, prior.device()).unsqueeze(0);
  return [chain, row, guidance, candidates](std::uint64_t seed, const prior::ChainIds& ids) {
    const prior::LabelChoice choice{row.expand({static_cast<std::int64_t>(ids.item.size()), -1}), guidance};
    return prior::sample_for_labels(*chain, choice, candidates, seed, ids);
  };
}

}  // namespace hebm::sample
