#include "sample/draws.h"
#include "nets/device.h"

namespace hebm::sample {

DrawLatents gaussian_draws(const vae::Backbone& backbone) {
  return
      [&](const prior::ChainIds& ids) { return prior::prior_noise(ids, backbone.dim(), backbone.params().device()); };
}

DrawLatents diffusion_draws(
    const prior::EnergyPrior& prior, const vae::Backbone& backbone, const prior::LangevinOptions& langevin) {
  return [chain = prior::ReverseChain(prior, backbone, langevin)](
             const prior::ChainIds& ids) { return chain.sample(ids); };
}

DrawLatents marginal_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
    const prior::LangevinOptions& langevin, prior::NetOutput output) {
  return [chain = prior::ReverseChain(prior, backbone, langevin, output)](
             const prior::ChainIds& ids) { return chain.sample(ids); };
}

DrawLatents nce_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
    const prior::LangevinOptions& langevin, const prior::NceOptions& options) {
  if (options.sampler == prior::NceSampling::kLangevin)
    return marginal_draws(prior, backbone, langevin, prior::NetOutput::kLogit);
  return [sampler = prior::NceSampler(prior, backbone, options.proposals)](
             const prior::ChainIds& ids) { return sampler.resample(ids); };
}

DrawLatents labelled_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
    const prior::LangevinOptions& langevin, const std::vector<std::int64_t>& categories, double guidance,
    std::int64_t candidates) {
  const at::Tensor row = nets::on_device(categories, prior.device()).unsqueeze(0);
  return [=, chain = prior::ReverseChain(prior, backbone, langevin)](const prior::ChainIds& ids) {
    return prior::sample_for_labels(chain, {row.expand({ids.count(), -1}), guidance}, candidates, ids);
  };
}

}  // namespace hebm::sample
