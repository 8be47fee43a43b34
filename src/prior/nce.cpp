#include "prior/nce.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "base/options.h"
#include "nets/device.h"
#include "prior/forward_pair.h"
#include "prior/resampling.h"

namespace hebm::prior {
namespace {

std::int64_t first_column(const std::vector<LatentShape>& groups, std::size_t layer) {
  std::int64_t first = 0;
  for (std::size_t i = 0; i < layer; ++i) first += groups.at(i).size();
  return first;
}

// Columns of layer i, a view.
at::Tensor layer_of(const at::Tensor& u, const std::vector<LatentShape>& groups, std::size_t layer) {
  return u.narrow(1, first_column(groups, layer), groups.at(layer).size());
}

// [B, d_i] ~ N(0, I), keyed by (ids, layer).
at::Tensor layer_noise(const LatentShape& group, std::size_t layer, const RandomKey& key, const ChainIds& ids,
                       at::Device device) {
  return normal_rows(group.size(), key, ids,
                     std::vector<std::int64_t>(ids.item.size(), static_cast<std::int64_t>(layer)), device);
}

}  // namespace

void NceOptions::describe_training(Options& o) {
  o.add("nce.gain", &gain,
        "factor of the classifiers' output beside energy.gain: their output is a logit, an EBM's nets learn s^2 times "
        "that",
        {1e-3, 1e6});
}

void NceOptions::describe_sampling(Options& o) {
  o.add_choice("nce.sampler", &sampler, {"resampling", "langevin"},
               "how prior.kind = nce is sampled: importance resampling top down, or Langevin steps (langevin.steps, "
               "langevin.eta_marginal)",
               Show::kCommon);
  o.add("nce.proposals", &proposals, "M, draws of p(z_i | z_<i) that one is taken of, by resampling", {1, 1000000},
        Show::kCommon);
}

at::Tensor contrast_layer(const at::Tensor& u0, std::size_t layer, const vae::Backbone& backbone, const RandomKey& key,
                          const ChainIds& ids) {
  const c10::NoGradGuard no_grad;
  at::Tensor u = u0.clone();
  layer_of(u, backbone.groups(), layer).copy_(layer_noise(backbone.groups().at(layer), layer, key, ids, u0.device()));
  return backbone.transport(at::cat({u0, u}))[layer];
}

at::Tensor nce_loss(const at::Tensor& positive, const at::Tensor& negative, std::int64_t global_batch) {
  return (at::softplus(-positive).sum() + at::softplus(negative).sum()) / static_cast<double>(global_batch);
}

NceSampler::NceSampler(const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin,
                       std::int64_t proposals)
    : prior_(prior),
      backbone_(backbone),
      langevin_(langevin),
      proposals_(proposals),
      weights_(prior.frozen_weights()) {}

at::Tensor NceSampler::propose(std::uint64_t seed, const ChainIds& ids, std::size_t layer,
                               const std::vector<std::int64_t>& which) const {
  ChainIds proposal = ids;
  for (std::size_t b = 0; b < which.size(); ++b)
    proposal.visit[b] = static_cast<std::uint32_t>(ids.visit[b] * proposals_ + which[b]);
  return layer_noise(backbone_.groups()[layer], layer, {seed, 0, Purpose::kProposal}, proposal,
                     backbone_.params().device());
}

at::Tensor NceSampler::resample(std::uint64_t seed, const ChainIds& ids) const {
  const c10::NoGradGuard no_grad;
  const std::size_t count = ids.item.size();
  const Potential potential(prior_, backbone_, weights_, std::vector<std::int64_t>(count, 0));
  at::Tensor u = at::zeros({static_cast<std::int64_t>(count), backbone_.dim()},
                           at::TensorOptions(at::kFloat).device(backbone_.params().device()));
  for (std::size_t i = 0; i < prior_.num_layers(); ++i) {
    const at::Tensor columns = layer_of(u, backbone_.groups(), i);
    std::vector<at::Tensor> logits;
    for (std::int64_t m = 0; m < proposals_; ++m) {
      columns.copy_(propose(seed, ids, i, std::vector<std::int64_t>(count, m)));
      logits.push_back(potential.of_layer(u, i).to(at::kDouble));
    }
    const auto uniform = choice_uniforms(seed, ids, static_cast<std::int64_t>(i));
    columns.copy_(propose(seed, ids, i, choose_proposals(at::stack(logits), uniform)));
  }
  return u;
}

at::Tensor NceSampler::langevin(std::uint64_t seed, const ChainIds& ids) const {
  const std::vector<std::int64_t> levels(ids.item.size(), 0);
  const Potential potential(prior_, backbone_, weights_, levels);
  auto coefficients = step_coefficients(prior_.schedule(), langevin_);
  coefficients[0].gradient *=
      step_variance(prior_.schedule(), langevin_, 0);  // they are for f = s^2 F, the logits are F
  const at::Tensor start =
      normal_rows(backbone_.dim(), {seed, 0, Purpose::kPriorNoise}, ids, {}, backbone_.params().device());
  return run_langevin(start, start, levels, coefficients, langevin_.steps, {seed, 0, Purpose::kLangevin}, ids,
                      [&](const at::Tensor& y) { return potential.gradient(y); });
}

}  // namespace hebm::prior
