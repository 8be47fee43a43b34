// The K-step Langevin chain of one reverse level (Eq. 3 with the gradient of Eq. 13), on all layers
// at once in u-space. The nets output f = s_t^2 F, as in the authors' code, so a step is
//   y <- c_y y + c_u u_{t+1} + c_g df/du(y) + c_n n,   n ~ N(0, I).
// The gradient is a callable, so the step is tested on Gaussians without a network.
#pragma once
#include <ATen/core/Tensor.h>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>
#include "base/options.h"
#include "nets/precision.h"
#include "prior/chains.h"
#include "prior/schedule.h"

namespace hebm::prior {

// s_t^2. natural: 2 step / P_t; paper: eta sigma_cum[t]/sigma_cum[0] sigma[t+1]^2.
enum class StepRule { kNatural, kPaper };
constexpr std::array<Choice<StepRule>, 2> choices_of(StepRule) {
  return {{{"natural", StepRule::kNatural}, {"paper", StepRule::kPaper}}};
}
// paper: Euler-Maruyama; exact: the Gaussian terms by an Ornstein-Uhlenbeck step.
enum class Integrator { kPaper, kExact };
constexpr std::array<Choice<Integrator>, 2> choices_of(Integrator) {
  return {{{"paper", Integrator::kPaper}, {"exact", Integrator::kExact}}};
}

struct LangevinOptions {
  std::int64_t steps = 30;      // K
  std::int64_t zero_steps = 0;  // K at t = 0, of priors with label heads (couple.steps); 0: steps
  double eta = 3e-5;            // of `paper`; 3e-5: the paper on CIFAR-10, 2e-5: on CelebA-HQ-256
  StepRule step_rule = StepRule::kNatural;
  double step = 0.01;            // of `natural`, in units of the Gaussian terms' own variance 1 / P_t
  std::vector<double> by_level;  // factors of s_t^2 for t = 0, 1, ...; the last one goes on; empty: 1
  Integrator integrator = Integrator::kExact;
  double noise = 1.0;                                     // factor of the noise's standard deviation
  nets::Precision precision = nets::Precision::kFloat32;  // of nets and decoder path: compute.chain_precision
  double eta_marginal = 0.02;  // s^2 of the marginal EBMs (joint, nce), whatever step_rule: their one level has P = 1
  void describe(Options& options);  // langevin.*
  // K of the chain of level t: whatever options set it, it is resolved into these fields.
  std::int64_t steps_at(std::int64_t t) const { return t == 0 && zero_steps > 0 ? zero_steps : steps; }
};

struct StepCoefficients {
  double y, u_next, gradient, noise;
};

// P_t = 1 + w alpha[t+1]^2 / sigma[t+1]^2: the precision of the Gaussian terms of Eq. 13; w: 0 at
// t = T-1, else 1.
double gaussian_precision(const Schedule& schedule, std::int64_t t);
// The level's s_t^2, by_level included.
double step_variance(const Schedule& schedule, const LangevinOptions& options, std::int64_t t);

// With a = alpha[t+1], sg = sigma[t+1], P = 1 + w a^2 / sg^2 and rho = exp(-s^2 P / 2):
//   paper: c_y = 1 - s^2/2 P, c_u = s^2/2 w a / sg^2, c_g = 1/2, c_n = s
//   exact: c_y = rho, c_u = (1 - rho) w a / (sg^2 P), c_g = (1 - rho) / (P s^2),
//          c_n = sqrt((1 - rho^2) / P), exact for f = 0 at any s, the paper's to first order in s^2
std::vector<StepCoefficients> step_coefficients(const Schedule& schedule, const LangevinOptions& options);

// Of a level t in the loss: paper 1/s_t^2 (the nets output f = s_t^2 F), sqrt 1/s_t^2 *
// s_t/s_{T-1}, flat 1/s_{T-1}^2.
enum class LevelWeight { kPaper, kSqrt, kFlat };
constexpr std::array<Choice<LevelWeight>, 3> choices_of(LevelWeight) {
  return {{{"paper", LevelWeight::kPaper}, {"sqrt", LevelWeight::kSqrt}, {"flat", LevelWeight::kFlat}}};
}
std::vector<double> level_weights(const Schedule& schedule, const LangevinOptions& langevin, LevelWeight kind);

// df/du summed over layers, [B, D] -> [B, D]; the result must be contiguous float32 on y's device.
using Gradient = std::function<at::Tensor(const at::Tensor& y)>;
// Called before step k = 0 .. K-1 and once after the last with k = K.
using ChainObserver = std::function<void(std::int64_t k, const at::Tensor& y)>;
// Puts parts of y where they must be, in place; called for the start and after every step, before
// the observer.
using Constraint = std::function<void(const at::Tensor& y)>;

// What one chain may have beside the steps.
struct ChainExtras {
  at::Tensor u_next{};       // [B, D] where it is not the start
  ChainObserver observer{};  // nobody looks on
  Constraint constraint{};   // nothing is held
  // Gradient and constraint do the same at every step: a GPU's second step is recorded and repeated
  // (step_graph.h). False where weights move within a chain (energy.power_iterations_in_chain).
  bool steady = true;
};
// K steps from start [B, D] float32 on the chains' device, which is u_{t+1} too. Returns y_K [B,
// D]. No autograd graph is kept, and nothing waits for a GPU.
at::Tensor langevin(const Chains& chains, const at::Tensor& start, const Gradient& gradient,
    const std::vector<StepCoefficients>& coefficients, std::int64_t steps, const ChainExtras& extras = {});

// One step with given noise by plain tensor operations in any dtype, for comparisons with recorded
// chains: c_y y + c_u u_{t+1} + c_g df/du + c_n n. y, u_next, gradient, noise [B, D]; t [B].
at::Tensor langevin_step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient,
    const at::Tensor& noise, const std::vector<StepCoefficients>& coefficients, const std::vector<std::int64_t>& t);

}  // namespace hebm::prior
