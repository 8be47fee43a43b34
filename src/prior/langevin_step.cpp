#include "prior/langevin_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

namespace hebm::prior {

at::Tensor langevin_step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient,
                         const at::Tensor& noise, const std::vector<StepCoefficients>& coefficients,
                         const std::vector<std::int64_t>& t) {
  const c10::NoGradGuard no_grad;
  const auto by_row = [&](double StepCoefficients::*field) {
    std::vector<double> values;
    for (const auto level : t) values.push_back(coefficients.at(static_cast<std::size_t>(level)).*field);
    return at::tensor(values, at::kDouble).to(y.device(), y.scalar_type()).unsqueeze(1);  // [B, 1]
  };
  return by_row(&StepCoefficients::y) * y + by_row(&StepCoefficients::u_next) * u_next +
         by_row(&StepCoefficients::gradient) * gradient + by_row(&StepCoefficients::noise) * noise;
}

}  // namespace hebm::prior
