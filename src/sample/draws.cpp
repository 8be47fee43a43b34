#include "sample/draws.h"

#include <memory>

#include "nets/device.h"
#include "prior/label_draws.h"
#include "prior/reverse_chain.h"

namespace hebm::sample {

DrawLatents gaussian_draws(const vae::Backbone& backbone) {
  return [&backbone](const prior::ChainIds& ids) {
    return prior::prior_noise(ids, backbone.dim(), backbone.params().device());
  };
}

DrawLatents chain_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                        const prior::LangevinOptions& langevin) {
  const auto chain = std::make_shared<prior::ReverseChain>(prior, backbone, langevin);
  return [chain](const prior::ChainIds& ids) { return chain->sample(ids); };
}

DrawLatents nce_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                      const prior::LangevinOptions& langevin, const prior::NceOptions& options) {
  const auto sampler = std::make_shared<prior::NceSampler>(prior, backbone, langevin, options.proposals);
  const bool resampling = options.sampler == "resampling";
  return [sampler, resampling](const prior::ChainIds& ids) {
    return resampling ? sampler->resample(ids) : sampler->langevin(ids);
  };
}

DrawLatents labelled_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                           const prior::LangevinOptions& langevin, std::vector<std::int64_t> categories,
                           double guidance, std::int64_t candidates) {
  const auto chain = std::make_shared<prior::ReverseChain>(prior, backbone, langevin);
  const at::Tensor row = nets::on_device(categories, prior.device()).unsqueeze(0);
  return [chain, row, guidance, candidates](const prior::ChainIds& ids) {
    const prior::LabelChoice choice{row.expand({ids.count(), -1}), guidance};
    return prior::sample_for_labels(*chain, choice, candidates, ids);
  };
}

}  // namespace hebm::sample
