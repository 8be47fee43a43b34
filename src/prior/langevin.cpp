#include "prior/langevin.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include "base/error.h"
#include "prior/langevin_update.h"
#include "prior/step_graph.h"

namespace hebm::prior {

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
    update.step(y, next, g);  // Eq. 3 and 13: y <- c_y y + c_u u_{t+1} + c_g df/du + c_n n
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
