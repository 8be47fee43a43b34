#include "prior/schedule.h"
#include <cmath>
#include "base/error.h"

namespace hebm::prior {

constexpr std::int64_t kFineSteps = 1000;
constexpr double kBetaFirst = 1e-4, kBetaLast = 0.02;

namespace {

// One kernel more, from u_t to u_{t+1}.
void append(Schedule& s, double alpha, double alpha_cum) {
  s.alpha.push_back(alpha);
  s.sigma.push_back(std::sqrt(1.0 - alpha * alpha));
  s.alpha_cum.push_back(alpha_cum);
  s.sigma_cum.push_back(std::sqrt(1.0 - alpha_cum * alpha_cum));
}

}  // namespace

double Schedule::step_variance(std::int64_t t, double eta) const {
  const auto i = static_cast<std::size_t>(t);
  return eta * (sigma_cum[i] / sigma_cum[0]) * sigma[i + 1] * sigma[i + 1];
}

Schedule make_schedule(std::int64_t num_levels) {
  check(num_levels >= 1 && num_levels <= kFineSteps / 2 + 1, ExitCode::kUsage, "prior.T = {}: must be in 1..{}",
      num_levels, kFineSteps / 2 + 1);
  const std::int64_t stride = num_levels > 1 ? kFineSteps / (2 * (num_levels - 1)) : 0;
  Schedule s;
  s.num_levels = num_levels;
  double alpha_cum = 1.0;
  std::int64_t next = 0;  // fine steps merged so far
  for (std::int64_t j = 0; j <= num_levels; ++j) {
    const std::int64_t last = j == num_levels ? kFineSteps - 1 : j * stride;
    double alpha = 1.0;
    for (; next <= last; ++next) {
      const double beta =
          kBetaFirst + (kBetaLast - kBetaFirst) * static_cast<double>(next) / static_cast<double>(kFineSteps - 1);
      alpha *= std::sqrt(1.0 - beta);
    }
    alpha_cum *= alpha;
    append(s, alpha, alpha_cum);
  }
  return s;
}

Schedule make_marginal_schedule() {
  Schedule out;
  out.num_levels = 1;
  out.marginal = true;
  const double alpha = make_schedule(1).alpha_cum[0];
  append(out, alpha, alpha);
  append(out, 0.0, 0.0);
  return out;
}

Schedule make_schedule(const std::vector<double>& alpha_cum) {
  check(alpha_cum.size() >= 2, ExitCode::kUsage, "prior.alpha_cum: expected T + 1 >= 2 numbers, got {}",
      alpha_cum.size());
  Schedule s;
  s.num_levels = static_cast<std::int64_t>(alpha_cum.size()) - 1;
  double before = 1.0;
  for (const double a : alpha_cum) {
    check(a > 0.0 && a < before, ExitCode::kUsage, "prior.alpha_cum: {} after {}: the numbers must fall within (0, 1)",
        a, before);
    append(s, a / before, a);
    before = a;
  }
  return s;
}

void ScheduleOptions::describe(Options& o) {
  o.add("prior.T", &num_levels, "T, diffusion steps; 1: the marginal EBM of Eq. 8", {1, kFineSteps / 2 + 1},
      Show::kCommon);
  o.add_list(
      "prior.alpha_cum", &alpha_cum, "alpha_cum of t = 0 .. T, falling; empty: the paper's schedule", {0.0, 1.0});
}

Schedule ScheduleOptions::make() const {
  if (alpha_cum.empty()) return make_schedule(num_levels);
  check(static_cast<std::int64_t>(alpha_cum.size()) == num_levels + 1, ExitCode::kUsage,
      "prior.alpha_cum has {} numbers, prior.T = {} wants {}", alpha_cum.size(), num_levels, num_levels + 1);
  return make_schedule(alpha_cum);
}

}  // namespace hebm::prior
