// The noise schedule of the diffusion (Eq. 5, 6), in float64. Source: the authors' released code
// (docs/method.md, "Schedule"): 1000 linear betas, merged into T kernels.
#pragma once
#include <cstdint>
#include <vector>
#include "base/options.h"

namespace hebm::prior {

struct Schedule {
  std::int64_t num_levels = 0;    // T
  std::vector<double> alpha;      // [T+1]; the kernel from u_t to u_{t+1} uses index t+1 (Eq. 6)
  std::vector<double> sigma;      // [T+1] sqrt(1 - alpha^2)
  std::vector<double> alpha_cum;  // [T+1] u_t = alpha_cum[t] u_0 + sigma_cum[t] n
  std::vector<double> sigma_cum;  // [T+1]
  bool marginal = false;          // make_marginal_schedule(): its s^2 is langevin.eta_marginal

  // w of the kernel term in Eq. 13: 1, but 0 at t = T-1, where the model is marginal.
  double kernel_weight(std::int64_t t) const { return t == num_levels - 1 ? 0.0 : 1.0; }
  // s_t^2 = eta * sigma_cum[t] / sigma_cum[0] * sigma[t+1]^2
  double step_variance(std::int64_t t, double eta) const;
};

// The paper's: T in 1..501. T = 1 is the marginal EBM (Eq. 8): one level without kernel; it needs
// an eta of its own (about 100 times).
Schedule make_schedule(std::int64_t num_levels);
// The marginal EBM as a kind of its own (joint, nce): one level, whose chain starts at N(0, I),
// whatever u_0 is. alpha_cum[0] is the paper's, alpha_cum[1] = 0.
Schedule make_marginal_schedule();
// From chosen alpha_cum[0] > alpha_cum[1] > ... > alpha_cum[T], all within (0, 1).
Schedule make_schedule(const std::vector<double>& alpha_cum);

struct ScheduleOptions {
  std::int64_t num_levels = 3;    // T
  std::vector<double> alpha_cum;  // empty: the paper's
  void describe(Options& options);
  Schedule make() const;  // Error(kUsage) where the list does not fit T
};

}  // namespace hebm::prior
