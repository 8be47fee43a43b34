#include "evaluate/ood_scores.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <utility>
#include "base/visits.h"
#include "vae/inputs.h"

namespace hebm::evaluate {

OodScorer::OodScorer(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
    const prior::LangevinOptions& langevin, std::vector<std::int64_t> ks, std::uint64_t seed)
    : prior_(prior),
      backbone_(backbone),
      chain_(prior, backbone, langevin),
      weights_(prior.frozen_weights()),
      ks_(std::move(ks)),
      seed_(seed),
      step_variance_(prior::step_variance(prior.schedule(), langevin, 0)) {}

std::vector<std::string> OodScorer::columns() const {
  std::vector<std::string> out = {"elbo"};
  for (const char* scheme : {"inference", "diffusion"}) {
    for (const auto k : ks_) out.push_back(fmt::format("{} k = {}", scheme, k));
  }
  return out;
}

at::Tensor OodScorer::energies(const at::Tensor& u) const {
  const c10::NoGradGuard no_grad;
  const prior::Chains chains(prior::chain_ids(0, 0, u.size(0)), 0, u.device());
  const auto f = prior::Potential(prior_, backbone_, weights_, chains).by_layer(u);
  const at::Tensor from_top =
      at::stack(f, 1).to(at::kDouble).cumsum(1) / -step_variance_;  // [B, L]: of the top layer, the top two, ...
  std::vector<at::Tensor> out;
  for (const auto k : ks_) out.push_back(from_top.select(1, static_cast<std::int64_t>(f.size()) - k - 1));
  return at::stack(out, 1);
}

at::Tensor OodScorer::joined(const at::Tensor& above, const at::Tensor& others, std::int64_t k) const {
  const auto& groups = backbone_.groups();
  std::int64_t split = 0;
  for (std::size_t i = 0; i + static_cast<std::size_t>(k) < groups.size(); ++i) split += groups[i].size();
  return at::cat({above.narrow(1, 0, split), others.narrow(1, split, others.size(1) - split)}, 1);
}

at::Tensor OodScorer::diffusion_energies(const at::Tensor& u_0, const prior::ChainIds& ids) const {
  const prior::Schedule& schedule = prior_.schedule();
  at::Tensor inferred = prior::Chains(ids, 1, u_0.device()).normals(Purpose::kForwardNoise, backbone_.dim());
  inferred.mul_(schedule.sigma_cum[1]).add_(u_0, schedule.alpha_cum[1]);
  at::Tensor generated = inferred;  // never looked at where all layers are above k
  if (std::any_of(ks_.begin(), ks_.end(), [](std::int64_t k) { return k > 0; })) {
    generated = chain_.run(chain_.noise(ids), {schedule.num_levels - 1, 1}, ids);
  }
  std::vector<at::Tensor> out;
  for (std::size_t i = 0; i < ks_.size(); ++i) {
    const at::Tensor end = chain_.run(joined(inferred, generated, ks_[i]), 0, ids);
    out.push_back(energies(end).select(1, static_cast<std::int64_t>(i)));
  }
  return at::stack(out, 1);
}

at::Tensor OodScorer::scores(const at::Tensor& x, std::span<const std::int64_t> images, std::uint32_t set) const {
  const c10::NoGradGuard no_grad;
  prior::ChainIds ids{{}, std::vector<std::uint32_t>(images.size(), visits::kOod + set), seed_};
  for (const auto image : images) ids.item.push_back(static_cast<std::uint32_t>(image));
  const at::Tensor noise = vae::posterior_noise(ids.key(Purpose::kPosterior), images, ids.visit, backbone_.dim());
  const vae::Posterior q = backbone_.posterior(x, noise.to(x.device()));
  at::Tensor elbo = backbone_.log_likelihood(backbone_.decode_posterior(q), x).to(at::kDouble);
  for (const at::Tensor& kl : q.kl) elbo = elbo - kl.to(at::kDouble);
  return at::cat({elbo.unsqueeze(1), energies(q.u), diffusion_energies(q.u, ids)}, 1).to(at::kCPU).contiguous();
}

}  // namespace hebm::evaluate
