#include "prior/nce.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <cmath>
#include <utility>
#include "base/error.h"
#include "base/visits.h"
#include "prior/chains.h"

namespace hebm::prior {

void NceOptions::describe_training(Options& o) {
  o.add("nce.gain", &gain,
      "factor of the classifiers' output beside energy.gain: their output is a logit, an EBM's nets learn s^2 times "
      "that",
      {1e-3, 1e6});
}

void NceOptions::describe_sampling(Options& o) {
  o.add_choice("nce.sampler", &sampler,
      "how prior.kind = nce is sampled: importance resampling top down, or Langevin steps (langevin.steps, "
      "langevin.eta_marginal)",
      Show::kCommon);
  o.add("nce.proposals", &proposals, "M, draws of p(z_i | z_<i) that one is taken of, by resampling", {1, 1000000},
      Show::kCommon);
}

at::Tensor contrast_layer(const at::Tensor& u0, std::size_t layer, const vae::Backbone& backbone, const ChainIds& ids) {
  const c10::NoGradGuard no_grad;
  at::Tensor u = u0.clone();
  const at::Tensor own = vae::split_layers(u, backbone.groups()).at(layer);  // a view
  own.copy_(Chains(ids, static_cast<std::int64_t>(layer), u0.device())
                .normals(Purpose::kContrast, own[0].numel())
                .view_as(own));
  return backbone.transport(at::cat({u0, u}))[layer];
}

at::Tensor nce_loss(const at::Tensor& positive, const at::Tensor& negative, std::int64_t global_batch) {
  return (at::softplus(-positive).sum() + at::softplus(negative).sum()) / static_cast<double>(global_batch);
}

NceSampler::NceSampler(
    const EnergyPrior& prior, const vae::Backbone& backbone, std::int64_t proposals, std::function<void()> between)
    : prior_(prior),
      backbone_(backbone),
      proposals_(proposals),
      between_(std::move(between)),
      weights_(prior.frozen_weights()) {}

at::Tensor NceSampler::propose(const ChainIds& ids, std::size_t layer, const std::vector<std::int64_t>& which) const {
  ChainIds proposal = ids;
  for (std::size_t b = 0; b < which.size(); ++b)
    proposal.visit[b] = visits::of_proposal(ids.visit[b], which[b], proposals_);
  return Chains(proposal, static_cast<std::int64_t>(layer), backbone_.params().device())
      .normals(Purpose::kProposal, backbone_.groups()[layer].size());
}

// weights [M, B] float64: of the proposals of a layer.
static void expect_finite(const at::Tensor& weights, std::size_t layer, const ChainIds& ids) {
  const at::Tensor sums = weights.sum(0).to(at::kCPU).contiguous();
  for (std::size_t b = 0; b < ids.item.size(); ++b)
    check(std::isfinite(sums.const_data_ptr<double>()[b]), ExitCode::kDiverged,
        "resampling diverged: layer {} of image {}: a logit that weighs proposals is NaN or Inf; train the prior again "
        "with a smaller train.learning_rate",
        layer, ids.item[b]);
}

at::Tensor NceSampler::resample(const ChainIds& ids) const {
  const c10::NoGradGuard no_grad;
  const Chains chains(ids, 0, backbone_.params().device());
  const Potential potential(prior_, backbone_, weights_, chains);
  at::Tensor u = at::zeros({chains.count(), backbone_.dim()}, at::TensorOptions(at::kFloat).device(chains.device()));
  for (std::size_t i = 0; i < prior_.num_layers(); ++i) {
    const at::Tensor own = vae::split_layers(u, backbone_.groups())[i];  // a view
    std::vector<at::Tensor> logits;
    for (std::int64_t m = 0; m < proposals_; ++m) {
      if (between_) between_();
      own.copy_(propose(ids, i, std::vector<std::int64_t>(ids.item.size(), m)).view_as(own));
      logits.push_back(potential.of_layer(u, i).to(at::kDouble));
    }
    const at::Tensor weights = at::stack(logits);
    expect_finite(weights, i, ids);
    const auto uniform = choice_uniforms(ids, static_cast<std::int64_t>(i));
    own.copy_(propose(ids, i, choose_proposals(weights, uniform)).view_as(own));
  }
  return u;
}

}  // namespace hebm::prior
