#include "train/prior_metrics.h"

#include <fmt/format.h>

#include "train/stragglers.h"

namespace hebm::train {

UpdateStats::UpdateStats(std::size_t num_layers, std::int64_t num_levels, std::size_t num_heads)
    : layers(num_layers),
      levels(static_cast<std::size_t>(num_levels)),
      heads(num_heads),
      by_level(num_fields() * levels, 0.0) {}

void UpdateStats::reduce(comm::Communicator& comm) {
  by_level.push_back(stop);
  by_level.push_back(chain_s);
  unit_s_of_rank = sum_and_gather(comm, by_level, unit_s);
  chain_s = by_level.back();
  by_level.pop_back();
  stop = by_level.back();
  by_level.pop_back();
}

std::vector<double> UpdateStats::counts() const {
  return {by_level.begin(), by_level.begin() + static_cast<std::ptrdiff_t>(levels)};
}

double UpdateStats::layer_gap(std::size_t layer, std::size_t t) const {
  const double count = at(kCount, t);
  return count == 0.0 ? 0.0 : (at(kPositive + 2 * layer, t) - at(kNegative + 2 * layer, t)) / count;
}

std::vector<double> UpdateStats::gap() const {
  std::vector<double> out(levels, 0.0);
  for (std::size_t t = 0; t < levels; ++t) {
    for (std::size_t i = 0; i < layers; ++i) out[t] += layer_gap(i, t);
    const double count = at(kCount, t);
    for (std::size_t h = 0; h < heads && count > 0.0; ++h)
      out[t] += (at(head(h) + kHeadPositive, t) - at(head(h) + kHeadNegative, t)) / count;
  }
  return out;
}

void PriorMetrics::write(std::int64_t step, const UpdateStats& stats, const storage::Scalars& gradient_norms,
                         const std::vector<double>& level_weights, const std::vector<double>& step_variances,
                         storage::Scalars more) {
  storage::Scalars scalars = std::move(more);
  double loss = 0, images = 0;
  const auto gap = stats.gap();
  for (std::size_t t = 0; t < stats.levels; ++t) {
    const double count = stats.at(UpdateStats::kCount, t);
    images += count;
    if (count == 0.0) continue;
    loss -= count * gap[t] * step_variances[t] * level_weights[t];
    scalars.emplace_back(fmt::format("gap/t{}", t), gap[t]);
    scalars.emplace_back(fmt::format("displacement/t{}", t), stats.at(UpdateStats::kDisplacement, t) / count);
    for (std::size_t i = 0; i < stats.layers; ++i) {
      scalars.emplace_back(fmt::format("positive/layer{}/t{}", i, t),
                           stats.at(UpdateStats::kPositive + 2 * i, t) / count);
      scalars.emplace_back(fmt::format("negative/layer{}/t{}", i, t),
                           stats.at(UpdateStats::kNegative + 2 * i, t) / count);
    }
  }
  scalars.emplace_back("loss", images > 0 ? loss / images : 0.0);
  scalars.insert(scalars.end(), gradient_norms.begin(), gradient_norms.end());
  writer_.write(step, scalars);
}

}  // namespace hebm::train
