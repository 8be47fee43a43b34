#include "prior/forward_pair.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include "base/error.h"
#include "nets/device.h"
#include "prior/chain_rows.h"

namespace hebm::prior {

std::vector<std::int64_t> draw_levels(const Schedule& schedule, std::uint64_t seed, std::uint32_t attempt,
                                      const ChainIds& ids) {
  const RandomKey key{seed, attempt, Purpose::kDiffusionStep};
  std::vector<std::int64_t> t;
  for (std::size_t b = 0; b < ids.item.size(); ++b) {
    t.push_back(
        draw_below(static_cast<std::uint32_t>(schedule.num_levels), key, {.item = ids.item[b], .visit = ids.visit[b]}));
  }
  return t;
}

std::int64_t level_of_unit(const Schedule& schedule, std::uint64_t seed, std::uint32_t attempt, std::int64_t update,
                           std::int64_t unit) {
  const RandomKey key{seed, attempt, Purpose::kDiffusionStep};
  const std::int64_t offset = draw_below(static_cast<std::uint32_t>(schedule.num_levels), key,
                                         {.item = static_cast<std::uint32_t>(update), .visit = 0, .layer = 1});
  return (unit + offset) % schedule.num_levels;
}

at::Tensor normal_rows(std::int64_t dim, const RandomKey& key, const ChainIds& ids, const std::vector<std::int64_t>& t,
                       at::Device device) {
  const ChainRows rows(device, key, ids, t, {});
  const at::Tensor out = at::empty({rows.count(), dim}, at::TensorOptions(at::kFloat).device(device));
  rows.draw_normals(out);
  return out;
}

namespace {

// values[level of the row], [B, 1].
at::Tensor by_row(const std::vector<double>& values, const std::vector<std::int64_t>& t, std::size_t shift,
                  at::Device device) {
  std::vector<float> out;
  for (const auto level : t) out.push_back(static_cast<float>(values[static_cast<std::size_t>(level) + shift]));
  return nets::on_device(out, device).unsqueeze(1);
}

}  // namespace

NoisyPair make_pair(const at::Tensor& u0, std::vector<std::int64_t> t, const Schedule& schedule, std::uint64_t seed,
                    std::uint32_t attempt, const ChainIds& ids) {
  check(static_cast<std::int64_t>(t.size()) == u0.size(0) && ids.item.size() == t.size(), ExitCode::kRuntime,
        "noisy pair: {} rows, {} levels, {} ids", u0.size(0), t.size(), ids.item.size());
  const c10::NoGradGuard no_grad;
  const auto noise = [&](Purpose purpose) {
    return normal_rows(u0.size(1), {seed, attempt, purpose}, ids, t, u0.device());
  };
  const auto of_level = [&](const std::vector<double>& values, std::size_t shift) {
    return by_row(values, t, shift, u0.device());
  };
  NoisyPair pair;
  pair.u_t =
      noise(Purpose::kForwardNoise).mul_(of_level(schedule.sigma_cum, 0)).add_(u0 * of_level(schedule.alpha_cum, 0));
  pair.u_next =
      noise(Purpose::kTransitionNoise).mul_(of_level(schedule.sigma, 1)).add_(pair.u_t * of_level(schedule.alpha, 1));
  pair.t = std::move(t);
  return pair;
}

std::vector<at::Tensor> forward_trajectory(const at::Tensor& u0, const Schedule& schedule, std::uint64_t seed,
                                           const ChainIds& ids) {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) {
    const auto level = static_cast<std::size_t>(t);
    const at::Tensor noise = normal_rows(u0.size(1), {seed, 0, Purpose::kForwardNoise}, ids,
                                         std::vector<std::int64_t>(ids.item.size(), t), u0.device());
    out.push_back((out.empty() ? u0 : out.back()) * schedule.alpha[level] + noise * schedule.sigma[level]);
  }
  return out;
}

}  // namespace hebm::prior
