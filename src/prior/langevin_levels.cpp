// The step sizes of the levels: P_t, s_t^2, and the weight of t in the loss.
#include <algorithm>
#include <cmath>
#include "prior/langevin.h"

namespace hebm::prior {

double gaussian_precision(const Schedule& schedule, std::int64_t t) {
  const double ratio =
      schedule.alpha[static_cast<std::size_t>(t) + 1] / schedule.sigma[static_cast<std::size_t>(t) + 1];
  return 1.0 + schedule.kernel_weight(t) * ratio * ratio;
}

double step_variance(const Schedule& schedule, const LangevinOptions& options, std::int64_t t) {
  if (schedule.marginal) return options.eta_marginal;
  double factor = 1.0;
  if (!options.by_level.empty())
    factor = options.by_level[std::min(static_cast<std::size_t>(t), options.by_level.size() - 1)];
  if (options.step_rule == StepRule::kPaper) return factor * schedule.step_variance(t, options.eta);
  return factor * 2.0 * options.step / gaussian_precision(schedule, t);
}

std::vector<double> step_variances(const Schedule& schedule, const LangevinOptions& options) {
  std::vector<double> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) out.push_back(step_variance(schedule, options, t));
  return out;
}

std::vector<double> level_weights(const Schedule& schedule, const LangevinOptions& langevin, LevelWeight kind) {
  std::vector<double> out = step_variances(schedule, langevin);
  const double last = out.back();
  for (double& s2 : out)
    s2 = kind == LevelWeight::kPaper ? 1.0 / s2 : (kind == LevelWeight::kSqrt ? std::sqrt(s2 / last) / s2 : 1.0 / last);
  return out;
}

}  // namespace hebm::prior
