#include "prior/reverse_chain.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <cmath>
#include <utility>
#include "base/error.h"
#include "base/visits.h"
#include "nets/device.h"
#include "prior/forward_pair.h"

namespace hebm::prior {
namespace {

// Above all visits of other chains, and apart from one another.
ChainIds ids_of_candidate(ChainIds ids, std::int64_t m) {
  for (auto& visit : ids.visit) {
    check(visit < visits::kMaxCandidateVisit && m < visits::kMaxCandidates, ExitCode::kRuntime,
        "candidates: visit {} and candidate {} are too many", visit, m);
    visit = visits::of_candidate(visit, m);
  }
  return ids;
}

}  // namespace

ReverseChain::ReverseChain(
    const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin, NetOutput output)
    : prior_(prior),
      backbone_(backbone),
      langevin_(langevin),
      coefficients_(step_coefficients(prior.schedule(), langevin)),
      weights_(prior.frozen_weights(langevin.precision)) {
  nets::require_precision(langevin.precision, device());
  for (std::int64_t t = 0; output == NetOutput::kLogit && t < num_levels(); ++t)
    coefficients_[static_cast<std::size_t>(t)].gradient *= step_variance(prior.schedule(), langevin, t);
}

at::Tensor ReverseChain::run_level(const at::Tensor& u_next, std::int64_t t, const ChainIds& ids,
    const ReverseExtras& extras, const at::Tensor& start) const {
  const Chains chains(ids, t, device());
  const Potential potential(
      prior_, backbone_, weights_, chains, {step_variance(prior_.schedule(), langevin_, 0), extras.labels});
  ChainExtras own{.start = start};
  if (extras.observer || langevin_.between_steps)
    own.observer = [&](std::int64_t k, const at::Tensor& y) {
      if (langevin_.between_steps) langevin_.between_steps();
      if (extras.observer) extras.observer(t, k, y);
    };
  if (const HeldLayers* held = extras.held; held != nullptr)
    own.constraint = [=, this](const at::Tensor& y) { hold(y, held->u_t[static_cast<std::size_t>(t)], held->layers); };
  const at::Tensor u = langevin(
      chains, u_next, [&](const at::Tensor& y) { return potential.gradient(y); }, coefficients_, langevin_.steps_at(t),
      own);
  expect_finite(u, t, ids);
  return u;
}

// What is not finite stays so to the end of a level: one sum is enough, which in float64 overflows
// for no finite u.
void ReverseChain::expect_finite(const at::Tensor& u, std::int64_t t, const ChainIds& ids) const {
  if (std::isfinite(u.sum(at::kDouble).item<double>())) return;
  const at::Tensor host = u.to(at::kCPU).contiguous();
  const auto layers = vae::split_layers(host, backbone_.groups());
  for (std::size_t b = 0; b < ids.item.size(); ++b) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto sum = layers[i][static_cast<std::int64_t>(b)].sum(at::kDouble).item<double>();
      check(std::isfinite(sum), ExitCode::kDiverged,
          "the chain of t = {} diverged: layer {} of image {} holds NaN or Inf after {} Langevin steps; take a smaller "
          "langevin.step (or eta) or fewer steps, or train the prior again",
          t, i, ids.item[b], langevin_.steps_at(t));
    }
  }
}

at::Tensor ReverseChain::run(at::Tensor u, LevelRange range, const ChainIds& ids, const ReverseExtras& extras) const {
  const HeldLayers* held = extras.held;
  check(held == nullptr || static_cast<std::int64_t>(held->u_t.size()) > range.first, ExitCode::kRuntime,
      "held layers: values for {} levels, the chain starts at level {}", held == nullptr ? 0 : held->u_t.size(),
      range.first);
  for (std::int64_t t = range.first; t >= range.last; --t) u = run_level(u, t, ids, extras);
  if (held != nullptr && range.last == 0 && range.first >= 0) hold(u, held->u_0, held->layers);
  return u;
}

at::Tensor ReverseChain::run_at_zero(
    const at::Tensor& start, const at::Tensor& u1, const ChainIds& ids, const ReverseExtras& extras) const {
  const at::Tensor u0 = run_level(u1, 0, ids, extras, start);
  if (extras.held != nullptr) hold(u0, extras.held->u_0, extras.held->layers);
  return u0;
}

at::Tensor ReverseChain::sample(const ChainIds& ids, const ReverseExtras& extras) const {
  return run(noise(ids), prior_.num_levels() - 1, ids, extras);
}

HeldLayers ReverseChain::held(std::vector<std::int64_t> layers, const at::Tensor& u0, const ChainIds& ids) const {
  return {std::move(layers), u0, forward_trajectory(u0, prior_.schedule(), ids)};
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

// ---- images for a label

LabelCandidates draw_candidates(
    const ReverseChain& chain, std::int64_t candidates, const ChainIds& ids, const HeldLayers* held) {
  const LevelRange to_one{chain.num_levels() - 1, 1};
  if (candidates == 1) return {{chain.run(chain.noise(ids), to_one, ids, {.held = held})}, {}, {}};
  LabelCandidates out;
  for (std::int64_t m = 0; m < candidates; ++m) {
    const ChainIds own = ids_of_candidate(ids, m);
    out.u1.push_back(chain.run(chain.noise(own), to_one, own, {.held = held}));
    out.u0.push_back(chain.run(out.u1.back(), 0, own, {.held = held}));
    out.log_probability.push_back(chain.label_log_probability(out.u0.back()));
  }
  return out;
}

std::vector<std::int64_t> choose_candidates(
    const LabelCandidates& candidates, const LabelChoice& choice, const ChainIds& ids) {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> weights;  // [M] of [B]
  for (const auto& heads : candidates.log_probability) {
    at::Tensor sum = at::zeros({choice.category.size(0)}, heads.at(0).options());
    for (std::size_t h = 0; h < heads.size(); ++h) {
      const at::Tensor asked =
          choice.category.select(1, static_cast<std::int64_t>(h)).unsqueeze(1);  // -1: any, no weight
      sum = sum + (heads[h].gather(1, asked.clamp_min(0)) * asked.ge(0)).squeeze(1);
    }
    weights.push_back(sum.to(at::kDouble) * choice.guidance);
  }
  return choose_proposals(at::stack(weights), choice_uniforms(ids, 0));
}

at::Tensor finish_for_labels(const ReverseChain& chain, const LabelCandidates& candidates, const LabelChoice& choice,
    const ChainIds& ids, const HeldLayers* held) {
  const ReverseExtras extras{.held = held, .labels = &choice};
  if (candidates.u1.size() == 1) return chain.run(candidates.u1[0], 0, ids, extras);
  const auto chosen = choose_candidates(candidates, choice, ids);
  const auto of_rows = [&](const std::vector<at::Tensor>& values) {  // row b of values[chosen[b]]
    const at::Tensor all = at::stack(values),
                     index = nets::on_device(chosen, all.device()).view({1, -1, 1}).expand({1, -1, all.size(2)});
    return all.gather(0, index).squeeze(0).contiguous();
  };
  return chain.run_at_zero(of_rows(candidates.u0), of_rows(candidates.u1), ids, extras);
}

at::Tensor sample_for_labels(const ReverseChain& chain, const LabelChoice& choice, std::int64_t candidates,
    const ChainIds& ids, const HeldLayers* held) {
  return finish_for_labels(chain, draw_candidates(chain, candidates, ids, held), choice, ids, held);
}

}  // namespace hebm::prior
