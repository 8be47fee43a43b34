#include "prior/reverse_chain.h"

#include "prior/forward_pair.h"

namespace hebm::prior {

ReverseChain::ReverseChain(const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin)
    : prior_(prior), backbone_(backbone), langevin_(langevin),
      coefficients_(step_coefficients(prior.schedule(), langevin)), weights_(prior.frozen_weights()) {}

at::Tensor ReverseChain::run(at::Tensor u, LevelRange range, std::uint64_t seed, const ChainIds& ids,
                             const ReverseObserver& observer) const {
  const RandomKey key{seed, 0, Purpose::kLangevin};
  for (std::int64_t t = range.first; t >= range.last; --t) {
    const std::vector<std::int64_t> levels(ids.item.size(), t);
    const Potential potential(prior_, backbone_, weights_, levels);
    ChainObserver watch;
    if (observer) watch = [&](std::int64_t k, const at::Tensor& y) { observer(t, k, y); };
    u = run_langevin(u, u, levels, coefficients_, langevin_.steps, key, ids,
                     [&](const at::Tensor& y) { return potential.gradient(y); }, watch);
  }
  return u;
}

at::Tensor ReverseChain::sample(std::uint64_t seed, const ChainIds& ids, const ReverseObserver& observer) const {
  const at::Tensor noise = normal_rows(backbone_.dim(), {seed, 0, Purpose::kPriorNoise}, ids, {}, backbone_.params().device());
  return run(noise, prior_.num_levels() - 1, seed, ids, observer);
}

}  // namespace hebm::prior
