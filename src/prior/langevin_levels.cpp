// The step sizes of the levels: P_t, s_t^2, how long their chains are, and the weight of t in the
// loss.
#include <fmt/format.h>
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

double relaxation_times(const Schedule& schedule, const LangevinOptions& options, std::int64_t t) {
  const double of_step = step_variance(schedule, options, t) * gaussian_precision(schedule, t) / 2.0;
  return static_cast<double>(options.steps_at(t)) * of_step;
}

std::string relaxation_note(const Schedule& schedule, const LangevinOptions& options) {
  constexpr double kShort = 0.3, kLong = 3.0, kRounding = 1e-9;
  std::int64_t too_short = 0, too_long = 0;
  double least = relaxation_times(schedule, options, 0), most = least;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) {
    const double times = relaxation_times(schedule, options, t);
    too_short += times < kShort * (1 - kRounding);
    too_long += times > kLong * (1 + kRounding);
    least = std::min(least, times);
    most = std::max(most, times);
  }
  if (too_short + too_long == 0) return "";
  std::string out = fmt::format("WARNING: a level's chain lasts {:.3g}{} relaxation times (K s_t^2 P_t / 2)", least,
      most > least * (1 + kRounding) ? fmt::format(" to {:.3g}", most) : "");
  if (too_short > 0)
    out += fmt::format(", below {} at {} of {} levels: it hardly leaves its start; raise langevin.steps or the step",
        kShort, too_short, schedule.num_levels);
  if (too_long > 0)
    out += fmt::format(", above {} at {} of {} levels: half the steps would do; lower langevin.steps or the step",
        kLong, too_long, schedule.num_levels);
  return out;
}

}  // namespace hebm::prior
