#include "prior/losses.h"
#include <ATen/TensorOperators.h>
#include <cmath>

namespace hebm::prior {

std::vector<double> level_weights(const Schedule& schedule, const LangevinOptions& langevin, LevelWeight kind) {
  const double last = step_variance(schedule, langevin, schedule.num_levels - 1);
  std::vector<double> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) {
    const double s2 = step_variance(schedule, langevin, t);
    if (kind == LevelWeight::kPaper) {
      out.push_back(1.0 / s2);
    } else if (kind == LevelWeight::kSqrt) {
      out.push_back(std::sqrt(s2 / last) / s2);
    } else {
      out.push_back(1.0 / last);
    }
  }
  return out;
}

at::Tensor contrastive_loss(const at::Tensor& positive, const at::Tensor& negative, const at::Tensor& weight, double l2,
    std::int64_t global_batch) {
  at::Tensor loss = (weight * (negative - positive)).sum();
  if (l2 > 0.0) loss = loss + l2 * (weight * (positive.square() + negative.square())).sum();
  return loss / static_cast<double>(global_batch);
}

}  // namespace hebm::prior
