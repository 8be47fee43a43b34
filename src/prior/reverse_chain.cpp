#include "prior/reverse_chain.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include "base/error.h"

namespace hebm::prior {

ReverseChain::ReverseChain(const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin)
    : prior_(prior),
      backbone_(backbone),
      langevin_(langevin),
      coefficients_(step_coefficients(prior.schedule(), langevin)),
      weights_(prior.frozen_weights()) {}

at::Tensor ReverseChain::run_level(const at::Tensor& start, const at::Tensor& u_next, std::int64_t t,
    const ChainIds& ids, const ReverseExtras& extras) const {
  const Chains chains(ids, t, device());
  const Potential potential(
      prior_, backbone_, weights_, chains, {step_variance(prior_.schedule(), langevin_, 0), extras.labels});
  ChainExtras own{.u_next = u_next};
  if (extras.observer) own.observer = [&](std::int64_t k, const at::Tensor& y) { extras.observer(t, k, y); };
  if (const HeldLayers* held = extras.held; held != nullptr)
    own.constraint = [=, this](const at::Tensor& y) { hold(y, held->u_t[static_cast<std::size_t>(t)], held->layers); };
  return langevin(
      chains, start, [&](const at::Tensor& y) { return potential.gradient(y); }, coefficients_, langevin_.steps_at(t),
      own);
}

at::Tensor ReverseChain::run(at::Tensor u, LevelRange range, const ChainIds& ids, const ReverseExtras& extras) const {
  const HeldLayers* held = extras.held;
  check(held == nullptr || static_cast<std::int64_t>(held->u_t.size()) > range.first, ExitCode::kRuntime,
      "held layers: values for {} levels, the chain starts at level {}", held == nullptr ? 0 : held->u_t.size(),
      range.first);
  for (std::int64_t t = range.first; t >= range.last; --t) u = run_level(u, u, t, ids, extras);
  if (held != nullptr && range.last == 0 && range.first >= 0) hold(u, held->u_0, held->layers);
  return u;
}

at::Tensor ReverseChain::run_at_zero(
    const at::Tensor& start, const at::Tensor& u1, const ChainIds& ids, const ReverseExtras& extras) const {
  const at::Tensor u0 = run_level(start, u1, 0, ids, extras);
  if (extras.held != nullptr) hold(u0, extras.held->u_0, extras.held->layers);
  return u0;
}

at::Tensor ReverseChain::sample(const ChainIds& ids, const ReverseExtras& extras) const {
  return run(noise(ids), prior_.num_levels() - 1, ids, extras);
}

Potential ReverseChain::potential(std::int64_t count, std::int64_t t) const {
  return {prior_, backbone_, weights_, Chains(chain_ids(0, 0, count), t, device()),
      {step_variance(prior_.schedule(), langevin_, 0), nullptr}};
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
  return potential(y.size(0), t).value(y) / -step_variance(prior_.schedule(), langevin_, t);
}

std::vector<at::Tensor> ReverseChain::label_outputs(const at::Tensor& u0) const {
  const c10::NoGradGuard no_grad;
  return potential(u0.size(0), 0).label_outputs(u0);
}

void ReverseChain::hold(const at::Tensor& y, const at::Tensor& values, const std::vector<std::int64_t>& layers) const {
  const c10::NoGradGuard no_grad;
  check(values.sizes() == y.sizes(), ExitCode::kRuntime, "held layers: values of {} x {}, chains of {} x {}",
      values.size(0), values.size(1), y.size(0), y.size(1));
  const auto to = vae::split_layers(y, backbone_.groups());  // views
  const auto from = vae::split_layers(values, backbone_.groups());
  for (const auto layer : layers) to.at(static_cast<std::size_t>(layer)).copy_(from[static_cast<std::size_t>(layer)]);
}

}  // namespace hebm::prior
