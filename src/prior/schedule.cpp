#include "prior/schedule.h"

#include <cmath>

#include "base/error.h"

namespace hebm::prior {

constexpr std::int64_t kFineSteps = 1000;
constexpr double kBetaFirst = 1e-4, kBetaLast = 0.02;

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
    s.alpha.push_back(alpha);
    s.sigma.push_back(std::sqrt(1.0 - alpha * alpha));
    s.alpha_cum.push_back(alpha_cum);
    s.sigma_cum.push_back(std::sqrt(1.0 - alpha_cum * alpha_cum));
  }
  return s;
}

}  // namespace hebm::prior
