#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"
#include "nets/device.h"
#include "prior/langevin.h"

namespace hebm::prior {

void LangevinOptions::describe(Options& o) {
  o.add("langevin.steps", &steps, "K, Langevin steps a level (Alg. 1, 2)", {1, 1000000}, Show::kCommon);
  o.add_choice("langevin.step_rule", &step_rule,
      "s_t^2: natural = 2 langevin.step / P_t, paper = langevin.eta * sigma_cum[t]/sigma_cum[0] * sigma[t+1]^2",
      Show::kCommon);
  o.add("langevin.step", &step, "natural step size, in units of the Gaussian terms' variance", {1e-9, 2.0},
      Show::kCommon);
  o.add("langevin.eta", &eta,
      "eta of the paper's rule (3e-5 CIFAR-10, 2e-5 CelebA-HQ-256; with T = 1 about 100 times that)", {1e-12, 1e3});
  o.add_list("langevin.by_level", &by_level, "factors of s_t^2 for t = 0, 1, ... (the last one goes on)", {1e-9, 1e9});
  o.add_choice("langevin.integrator", &integrator,
      "paper: Euler-Maruyama step; exact: Gaussian terms by an Ornstein-Uhlenbeck step");
  o.add("langevin.noise", &noise, "factor of the chain's noise (paper: 1)", {0.0, 10.0});
  o.add_choice("compute.chain_precision", &precision,
      "of a chain's nets and decoder path; u, noise, sums and the loss stay float32. bfloat16: CPUs with AVX512_BF16 "
      "and GPUs; tf32: GPUs");
  o.add("langevin.eta_marginal", &eta_marginal,
      "s^2 of the chain of prior.kind joint and nce, under both step rules: one level from N(0, I), whose natural "
      "step would be half of it",
      {1e-9, 4.0});
}

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

std::vector<double> level_weights(const Schedule& schedule, const LangevinOptions& langevin, LevelWeight kind) {
  const double last = step_variance(schedule, langevin, schedule.num_levels - 1);
  std::vector<double> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) {
    const double s2 = step_variance(schedule, langevin, t);
    out.push_back(
        kind == LevelWeight::kPaper ? 1.0 / s2 : (kind == LevelWeight::kSqrt ? std::sqrt(s2 / last) / s2 : 1.0 / last));
  }
  return out;
}

at::Tensor langevin_step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient,
    const at::Tensor& noise, const std::vector<StepCoefficients>& coefficients, const std::vector<std::int64_t>& t) {
  const c10::NoGradGuard no_grad;
  const auto by_row = [&](double StepCoefficients::*field) {
    std::vector<double> values;
    for (const auto level : t) values.push_back(coefficients.at(static_cast<std::size_t>(level)).*field);
    return nets::on_device(values, y.device()).to(y.scalar_type()).unsqueeze(1);  // [B, 1]
  };
  return by_row(&StepCoefficients::y) * y + by_row(&StepCoefficients::u_next) * u_next +
         by_row(&StepCoefficients::gradient) * gradient + by_row(&StepCoefficients::noise) * noise;
}

}  // namespace hebm::prior
