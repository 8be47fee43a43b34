#include "sample/draws.h"

#include <memory>

#include "nets/device.h"
#include "prior/label_draws.h"
#include "prior/marginal_chain.h"
#include "prior/reverse_chain.h"

namespace hebm::sample {

DrawLatents gaussian_draws(const vae::Backbone& backbone) {
  return [&backbone](const prior::ChainIds& ids) {
    return prior::prior_noise(ids, backbone.dim(), backbone.params().device());
  };
}

DrawLatents diffusion_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                            const prior::LangevinOptions& langevin) {
  const auto chain = std::make_shared<prior::ReverseChain>(prior, backbone, langevin);
  return [chain](const prior::ChainIds& ids) { return chain->sample(ids); };
}

namespace {

DrawLatents marginal_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                           const prior::LangevinOptions& langevin, prior::NetOutput output) {
  const auto chain = std::make_shared<prior::MarginalChain>(prior, backbone, langevin, output);
  return [chain](const prior::ChainIds& ids) { return chain->sample(ids); };
}

}  // namespace

DrawLatents joint_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                        const prior::LangevinOptions& langevin) {
  return marginal_draws(prior, backbone, langevin, prior::NetOutput::kScaled);
}

DrawLatents nce_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                      const prior::LangevinOptions& langevin, const prior::NceOptions& options) {
  if (options.sampler == prior::NceSampling::kLangevin)
    return marginal_draws(prior, backbone, langevin, prior::NetOutput::kLogit);
  const auto sampler = std::make_shared<prior::NceSampler>(prior, backbone, options.proposals);
  return [sampler](const prior::ChainIds& ids) { return sampler->resample(ids); };
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
