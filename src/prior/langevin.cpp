// A step is y <- c_y y + c_u u_{t+1} + c_g df/du(y) + c_n n (Eq. 3 and 13): its coefficients by
// level, and the K steps.
#include "prior/langevin.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"
#include "prior/langevin_update.h"
#include "prior/step_graph.h"

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

// With a = alpha[t+1] and sg = sigma[t+1] of u_t -> u_{t+1}, w = kernel_weight(t): 0 at t = T-1,
// else 1, P = 1 + w a^2 / sg^2 and rho = exp(-s^2 P / 2):
//   paper: c_y = 1 - s^2/2 P, c_u = s^2/2 w a / sg^2, c_g = 1/2, c_n = s
//   exact: c_y = rho, c_u = (1 - rho) w a / (sg^2 P), c_g = (1 - rho) / (P s^2),
//          c_n = sqrt((1 - rho^2) / P), exact for f = 0 at any s, the paper's to first order in s^2
std::vector<StepCoefficients> step_coefficients(const Schedule& schedule, const LangevinOptions& options) {
  std::vector<StepCoefficients> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) {
    const double s2 = step_variance(schedule, options, t);
    const double alpha = schedule.alpha[static_cast<std::size_t>(t) + 1];
    const double sigma = schedule.sigma[static_cast<std::size_t>(t) + 1];
    const double pull = schedule.kernel_weight(t) * alpha / (sigma * sigma);  // towards u_{t+1}
    const double precision = gaussian_precision(schedule, t);
    if (options.integrator == Integrator::kPaper) {
      out.push_back({1.0 - 0.5 * s2 * precision, 0.5 * s2 * pull, 0.5, options.noise * std::sqrt(s2)});
    } else {
      const double lost = -std::expm1(-0.5 * s2 * precision);  // 1 - rho
      const double rho = 1.0 - lost;
      out.push_back({rho, lost * pull / precision, lost / (precision * s2),
          options.noise * std::sqrt(lost * (1.0 + rho) / precision)});
    }
  }
  return out;
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

constexpr std::int64_t kRecordedSteps = 5;  // a shorter chain does not pay for the recording

at::Tensor langevin(const Chains& chains, const at::Tensor& start, const Gradient& gradient,
    const std::vector<StepCoefficients>& coefficients, std::int64_t steps, const ChainExtras& extras) {
  at::Tensor y = start.detach().clone().contiguous();
  const at::Tensor next = (extras.u_next.defined() ? extras.u_next : start).detach().contiguous();
  check(y.size(0) == chains.count() && next.sizes() == y.sizes(), ExitCode::kRuntime,
      "Langevin chain: {} chains, {} starts, u_next has {} rows", chains.count(), y.size(0), next.size(0));
  LangevinUpdate update(chains, coefficients);
  if (extras.constraint) extras.constraint(y);
  const auto step = [&] {
    const at::Tensor g = gradient(y);
    const c10::NoGradGuard no_grad;
    update.step(y, next, g);  // draws n
    if (extras.constraint) extras.constraint(y);
  };
  std::function<void()> recorded;
  for (std::int64_t k = 0; k < steps; ++k) {
    if (extras.observer) extras.observer(k, y);
    if (k == 1 && extras.steady && steps >= kRecordedSteps) recorded = record_step(y.device(), step);
    recorded ? recorded() : step();
  }
  if (extras.observer) extras.observer(steps, y);
  return y;
}

}  // namespace hebm::prior
