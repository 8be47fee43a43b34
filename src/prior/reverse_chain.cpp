#include "prior/reverse_chain.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "base/error.h"
#include "prior/forward_pair.h"

namespace hebm::prior {

ReverseChain::ReverseChain(const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin)
    : prior_(prior),
      backbone_(backbone),
      langevin_(langevin),
      coefficients_(step_coefficients(prior.schedule(), langevin)),
      weights_(prior.frozen_weights()) {}

at::Tensor ReverseChain::run_level(const at::Tensor& start, const at::Tensor& u_next, std::int64_t t,
                                   std::uint64_t seed, const ChainIds& ids, const ReverseObserver& observer,
                                   const HeldLayers* held, const LabelChoice* labels) const {
  const std::vector<std::int64_t> levels(ids.item.size(), t);
  const Potential potential(prior_, backbone_, weights_, levels,
                            {step_variance(prior_.schedule(), langevin_, 0), labels});
  ChainObserver watch;
  if (observer) watch = [&](std::int64_t k, const at::Tensor& y) { observer(t, k, y); };
  Constraint constraint;
  if (held != nullptr)
    constraint = [&](const at::Tensor& y) { hold(y, held->u_t[static_cast<std::size_t>(t)], held->layers); };
  return run_langevin(
      start, u_next, levels, coefficients_, langevin_.steps_at(t), {seed, 0, Purpose::kLangevin}, ids,
      [&](const at::Tensor& y) { return potential.gradient(y); }, watch, constraint);
}

at::Tensor ReverseChain::run(at::Tensor u, LevelRange range, std::uint64_t seed, const ChainIds& ids,
                             const ReverseObserver& observer, const HeldLayers* held, const LabelChoice* labels) const {
  check(held == nullptr || static_cast<std::int64_t>(held->u_t.size()) > range.first, ExitCode::kRuntime,
        "held layers: values for {} levels, the chain starts at level {}", held == nullptr ? 0 : held->u_t.size(),
        range.first);
  for (std::int64_t t = range.first; t >= range.last; --t) u = run_level(u, u, t, seed, ids, observer, held, labels);
  if (held != nullptr && range.last == 0 && range.first >= 0) hold(u, held->u_0, held->layers);
  return u;
}

at::Tensor ReverseChain::run_at_zero(const at::Tensor& start, const at::Tensor& u1, std::uint64_t seed,
                                     const ChainIds& ids, const HeldLayers* held, const LabelChoice* labels) const {
  const at::Tensor u0 = run_level(start, u1, 0, seed, ids, {}, held, labels);
  if (held != nullptr) hold(u0, held->u_0, held->layers);
  return u0;
}

at::Tensor ReverseChain::sample(std::uint64_t seed, const ChainIds& ids, const ReverseObserver& observer,
                                const HeldLayers* held, const LabelChoice* labels) const {
  return run(noise(seed, ids), prior_.num_levels() - 1, seed, ids, observer, held, labels);
}

at::Tensor ReverseChain::noise(std::uint64_t seed, const ChainIds& ids) const {
  return normal_rows(backbone_.dim(), {seed, 0, Purpose::kPriorNoise}, ids, {}, backbone_.params().device());
}

std::vector<at::Tensor> ReverseChain::label_log_probability(const at::Tensor& u0) const {
  std::vector<at::Tensor> out;
  for (const at::Tensor& g : head_values(prior_.heads(), label_outputs(u0))) {
    out.push_back(log_probability(g, step_variance(prior_.schedule(), langevin_, 0)));
  }
  return out;
}

at::Tensor ReverseChain::energy(const at::Tensor& y, std::int64_t t) const {
  const c10::NoGradGuard no_grad;
  const Potential potential(prior_, backbone_, weights_,
                            std::vector<std::int64_t>(static_cast<std::size_t>(y.size(0)), t),
                            {step_variance(prior_.schedule(), langevin_, 0), nullptr});
  return potential.value(y) / -step_variance(prior_.schedule(), langevin_, t);
}

std::vector<at::Tensor> ReverseChain::label_outputs(const at::Tensor& u0) const {
  const c10::NoGradGuard no_grad;
  const std::vector<std::int64_t> levels(static_cast<std::size_t>(u0.size(0)), 0);
  return Potential(prior_, backbone_, weights_, levels, {step_variance(prior_.schedule(), langevin_, 0), nullptr})
      .label_outputs(u0);
}

void ReverseChain::hold(const at::Tensor& y, const at::Tensor& values, const std::vector<std::int64_t>& layers) const {
  const c10::NoGradGuard no_grad;
  check(values.sizes() == y.sizes(), ExitCode::kRuntime, "held layers: values of {} x {}, chains of {} x {}",
        values.size(0), values.size(1), y.size(0), y.size(1));
  const auto& groups = backbone_.groups();
  for (const std::int64_t layer : layers) {
    std::int64_t first = 0;
    for (std::int64_t i = 0; i < layer; ++i) first += groups.at(static_cast<std::size_t>(i)).size();
    const std::int64_t size = groups.at(static_cast<std::size_t>(layer)).size();
    y.narrow(1, first, size).copy_(values.narrow(1, first, size));
  }
}

}  // namespace hebm::prior
