#include "prior/forward_pair.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "base/error.h"

namespace hebm::prior {

std::vector<std::int64_t> draw_levels(const Schedule& schedule, std::uint64_t seed, std::uint32_t attempt,
                                      const ChainIds& ids) {
  const RandomKey key{seed, attempt, Purpose::kDiffusionStep};
  std::vector<std::int64_t> t;
  for (std::size_t b = 0; b < ids.item.size(); ++b) {
    t.push_back(draw_below(static_cast<std::uint32_t>(schedule.num_levels), key,
                           {.item = ids.item[b], .visit = ids.visit[b]}));
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

at::Tensor normal_rows(std::int64_t dim, const RandomKey& key, const ChainIds& ids,
                       const std::vector<std::int64_t>& t) {
  const auto count = static_cast<std::int64_t>(ids.item.size());
  at::Tensor out = at::empty({count, dim}, at::kFloat);
  float* data = out.mutable_data_ptr<float>();
  at::parallel_for(0, count, 1 + 32768 / dim, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t b = first; b < last; ++b) {
      const auto row = static_cast<std::size_t>(b);
      const std::uint32_t level = t.empty() ? 0 : static_cast<std::uint32_t>(t[row]);
      fill_normal({data + b * dim, static_cast<std::size_t>(dim)}, key,
                  {.item = ids.item[row], .visit = ids.visit[row], .t = level});
    }
  });
  return out;
}

NoisyPair make_pair(const at::Tensor& u0, std::vector<std::int64_t> t, const Schedule& schedule, std::uint64_t seed,
                    std::uint32_t attempt, const ChainIds& ids) {
  const std::int64_t count = u0.size(0), dim = u0.size(1);
  check(static_cast<std::int64_t>(t.size()) == count && ids.item.size() == t.size(), ExitCode::kRuntime,
        "noisy pair: {} rows, {} levels, {} ids", count, t.size(), ids.item.size());
  NoisyPair pair;
  pair.u_t = normal_rows(dim, {seed, attempt, Purpose::kForwardNoise}, ids, t);
  pair.u_next = normal_rows(dim, {seed, attempt, Purpose::kTransitionNoise}, ids, t);
  const float* clean = u0.const_data_ptr<float>();
  float* now = pair.u_t.mutable_data_ptr<float>();
  float* next = pair.u_next.mutable_data_ptr<float>();
  for (std::int64_t b = 0; b < count; ++b) {
    const auto level = static_cast<std::size_t>(t[static_cast<std::size_t>(b)]);
    const auto keep = static_cast<float>(schedule.alpha_cum[level]), add = static_cast<float>(schedule.sigma_cum[level]);
    const auto keep_next = static_cast<float>(schedule.alpha[level + 1]),
               add_next = static_cast<float>(schedule.sigma[level + 1]);
    for (std::int64_t e = b * dim; e < (b + 1) * dim; ++e) {
      now[e] = keep * clean[e] + add * now[e];
      next[e] = keep_next * now[e] + add_next * next[e];
    }
  }
  pair.t = std::move(t);
  return pair;
}

}  // namespace hebm::prior
