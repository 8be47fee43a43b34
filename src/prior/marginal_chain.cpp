#include "prior/marginal_chain.h"

namespace hebm::prior {

MarginalChain::MarginalChain(
    const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin, NetOutput output)
    : prior_(prior),
      backbone_(backbone),
      steps_(langevin.steps),
      coefficients_(step_coefficients(prior.schedule(), langevin)),
      weights_(prior.frozen_weights()) {
  if (output == NetOutput::kLogit) coefficients_[0].gradient *= step_variance(prior.schedule(), langevin, 0);
}

at::Tensor MarginalChain::sample(const ChainIds& ids) const {
  const Chains chains(ids, 0, backbone_.params().device());
  const Potential potential(prior_, backbone_, weights_, chains);
  return langevin(
      chains, chains.normals(Purpose::kPriorNoise, backbone_.dim()),
      [&](const at::Tensor& y) { return potential.gradient(y); }, coefficients_, steps_);
}

}  // namespace hebm::prior
