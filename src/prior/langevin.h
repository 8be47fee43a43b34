// The K-step Langevin chain of one reverse level (Eq. 3 with the gradient of Eq. 13), on all layers
// at once in u-space. The nets output f = s_t^2 F, as in the authors' code, so a step is
//   y <- c_y y + c_u u_{t+1} + c_g df/du(y) + c_n n,   n ~ N(0, I).
// The gradient is a callable, so the step is tested on Gaussians without a network.
#pragma once
#include <ATen/core/Tensor.h>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>
#include "base/choice.h"
#include "prior/chains.h"
#include "prior/options.h"
#include "prior/schedule.h"

namespace hebm::prior {

struct StepCoefficients {
  double y, u_next, gradient, noise;
  double start_u_next = 1.0, start_noise = 0.0;  // y_0 = start_u_next u_{t+1} + start_noise n
};

// P_t = 1 + w alpha[t+1]^2 / sigma[t+1]^2: the precision of the Gaussian terms of Eq. 13; w: 0 at
// t = T-1, else 1.
double gaussian_precision(const Schedule& schedule, std::int64_t t);
// The level's s_t^2, by_level included.
double step_variance(const Schedule& schedule, const LangevinOptions& options, std::int64_t t);

std::vector<double> step_variances(const Schedule& schedule, const LangevinOptions& options);  // of all levels

// How long the chain of level t is in relaxation times of its Gaussian terms: K s_t^2 P_t / 2,
// under the natural rule K langevin.step.
double relaxation_times(const Schedule& schedule, const LangevinOptions& options, std::int64_t t);
// "", or a line about the levels where that is below 0.3 or above 3.
std::string relaxation_note(const Schedule& schedule, const LangevinOptions& options);

// By level; langevin.cpp has their formulas.
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
  at::Tensor start{};        // y_0 [B, D], where it is not the level's own (langevin.start)
  ChainObserver observer{};  // nobody looks on
  Constraint constraint{};   // nothing is held
  // Gradient and constraint do the same at every step: a GPU's second step is recorded and repeated
  // (step_graph.h). False where weights move within a chain (energy.power_iterations_in_chain).
  bool steady = true;
};
// K steps given u_{t+1} [B, D] float32 on the chains' device, from the start that the coefficients
// give. Returns y_K [B, D]. No autograd graph is kept, and nothing waits for a GPU.
at::Tensor langevin(const Chains& chains, const at::Tensor& u_next, const Gradient& gradient,
    const std::vector<StepCoefficients>& coefficients, std::int64_t steps, const ChainExtras& extras = {});

}  // namespace hebm::prior
