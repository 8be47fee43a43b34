#include "prior/forward_pair.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include "base/error.h"

namespace hebm::prior {
namespace {

// A step of Eq. 7 in the noise's place. Each product is rounded, then the sum: bits of a training
// hang on it. Coefficients are numbers, or [B, 1].
at::Tensor noised(at::Tensor noise, const at::Tensor& u, const auto& alpha, const auto& sigma) {
  return noise.mul_(sigma).add_(u * alpha);
}

}  // namespace

std::vector<std::int64_t> draw_levels(const Schedule& schedule, const ChainIds& ids) {
  std::vector<std::int64_t> t;
  for (std::size_t b = 0; b < ids.item.size(); ++b) {
    t.push_back(draw_below(static_cast<std::uint32_t>(schedule.num_levels), ids.key(Purpose::kDiffusionStep),
        {.item = ids.item[b], .visit = ids.visit[b]}));
  }
  return t;
}

std::int64_t level_of_batch(const Schedule& schedule, std::uint64_t seed, std::uint32_t attempt, std::int64_t update,
    std::int64_t batch, std::int64_t count) {
  const RandomKey key{seed, attempt, Purpose::kDiffusionStep};
  const std::int64_t cycle = count % schedule.num_levels == 0 ? 1 : schedule.num_levels;  // updates
  const std::int64_t offset = draw_below(static_cast<std::uint32_t>(schedule.num_levels), key,
      {.item = static_cast<std::uint32_t>(update / cycle), .visit = 0, .layer = 1});
  return (offset + update % cycle * count + batch) % schedule.num_levels;
}

NoisyPair make_pair(const Chains& chains, const at::Tensor& u0, const Schedule& schedule) {
  check(chains.count() == u0.size(0), ExitCode::kRuntime, "noisy pair: {} rows, {} chains", u0.size(0), chains.count());
  const c10::NoGradGuard no_grad;
  // sigma^2 = 1 - alpha^2, alpha_cum[t] = alpha[0] ... alpha[t] < 1: at t = 0 too u_t is noisy.
  // by_level: [B, 1], a table at the row's t. normals: [B, dim], keyed by who the row is, and t.
  const auto of_level =
      chains.by_level({{schedule.alpha_cum}, {schedule.sigma_cum}, {schedule.alpha, 1}, {schedule.sigma, 1}});
  const std::int64_t dim = u0.size(1);
  NoisyPair pair;
  pair.u_t = noised(chains.normals(Purpose::kForwardNoise, dim), u0, of_level[0], of_level[1]);
  pair.u_next = noised(chains.normals(Purpose::kTransitionNoise, dim), pair.u_t, of_level[2], of_level[3]);
  return pair;
}

std::vector<at::Tensor> forward_trajectory(const at::Tensor& u0, const Schedule& schedule, const ChainIds& ids) {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) {
    const auto level = static_cast<std::size_t>(t);
    out.push_back(noised(Chains(ids, t, u0.device()).normals(Purpose::kForwardNoise, u0.size(1)),
        out.empty() ? u0 : out.back(), schedule.alpha[level], schedule.sigma[level]));
  }
  return out;
}

}  // namespace hebm::prior
