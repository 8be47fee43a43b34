// A step is y <- c_y y + c_u u_{t+1} + c_g df/du(y) + c_n n (Eq. 3 and 13): its coefficients by
// level, and the K steps.
#include "prior/langevin.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"
#include "base/progress.h"
#include "prior/langevin_update.h"
#include "prior/step_graph.h"

namespace hebm::prior {

// With a = alpha[t+1] and sg = sigma[t+1] of u_t -> u_{t+1}, w = kernel_weight(t): 0 at t = T-1,
// else 1, P = 1 + w a^2 / sg^2 and rho = exp(-s^2 P / 2):
//   paper: c_y = 1 - s^2/2 P, c_u = s^2/2 w a / sg^2, c_g = 1/2, c_n = s
//   exact: c_y = rho, c_u = (1 - rho) w a / (sg^2 P), c_g = (1 - rho) / (P s^2),
//          c_n = sqrt((1 - rho^2) / P), exact for f = 0 at any s, the paper's to first order in s^2
// The start (langevin.start = kernel) has the law that these terms have alone: N(alpha u_{t+1},
// sigma^2 = 1 / P). At t = T-1 that is N(0, I), where u_T is already: the chain starts there.
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
    if (options.start == ChainStart::kNext || schedule.kernel_weight(t) == 0.0) continue;
    out.back().start_u_next = alpha;
    out.back().start_noise = options.noise * sigma;
  }
  return out;
}

constexpr std::int64_t kRecordedSteps = 5;  // a shorter chain does not pay for the recording

// y_0 [B, D] of a new tensor.
static at::Tensor start_of(
    const Chains& chains, const at::Tensor& u_next, const std::vector<StepCoefficients>& coefficients) {
  std::vector<double> factor, noise;  // by level
  for (const StepCoefficients& c : coefficients) {
    factor.push_back(c.start_u_next);
    noise.push_back(c.start_noise);
  }
  const auto at_u_next = [&](std::int64_t t) {
    return factor[static_cast<std::size_t>(t)] == 1.0 && noise[static_cast<std::size_t>(t)] == 0.0;
  };
  if (std::ranges::all_of(chains.levels(), at_u_next)) return u_next.clone();
  const auto of_row = chains.by_level({{factor}, {noise}});
  return chains.normals(Purpose::kChainStart, u_next.size(1)).mul_(of_row[1]).add_(u_next * of_row[0]);
}

at::Tensor langevin(const Chains& chains, const at::Tensor& u_next, const Gradient& gradient,
    const std::vector<StepCoefficients>& coefficients, std::int64_t steps, const ChainExtras& extras) {
  const at::Tensor next = u_next.detach().contiguous();
  check(next.size(0) == chains.count() && (!extras.start.defined() || extras.start.sizes() == next.sizes()),
      ExitCode::kRuntime, "Langevin chain: {} chains, u_next has {} rows and a start of its own {}", chains.count(),
      next.size(0), extras.start.defined() ? extras.start.size(0) : 0);
  LangevinUpdate update(chains, coefficients);
  const at::Tensor y =
      extras.start.defined() ? extras.start.detach().clone().contiguous() : start_of(chains, next, coefficients);
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
    tick();
  }
  if (extras.observer) extras.observer(steps, y);
  return y;
}

}  // namespace hebm::prior
