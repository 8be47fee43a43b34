#include "prior/langevin_update.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#ifdef HEBM_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

#include "base/error.h"
#include "nets/device.h"

namespace hebm::prior {

LangevinUpdate::LangevinUpdate(const Chains& chains, const std::vector<StepCoefficients>& coefficients)
    : chains_(chains), key_(chains.key(Purpose::kLangevin)) {
  for (const auto t : chains.levels()) {
    check(t < static_cast<std::int64_t>(coefficients.size()), ExitCode::kRuntime,
        "Langevin chain: level {}, coefficients of {} levels", t, coefficients.size());
  }
  std::vector<float> factors;
  for (const StepCoefficients& c : coefficients) {
    for (const double value : {c.y, c.u_next, c.gradient, c.noise}) factors.push_back(static_cast<float>(value));
  }
  factors_ = nets::on_device(factors, chains.device());
  if (chains.device().is_cuda()) device_k_ = at::zeros({1}, at::TensorOptions(at::kLong).device(chains.device()));
}

void LangevinUpdate::check_tensor(const at::Tensor& values, const char* name) const {
  check(values.dim() == 2 && values.size(0) == chains_.count() && values.is_contiguous() &&
            values.scalar_type() == at::kFloat && values.device() == chains_.device(),
      ExitCode::kRuntime, "chains: {}: expected {} contiguous rows of float32 on {}, got {} rows of {} on {}", name,
      chains_.count(), chains_.device().str(), values.dim() > 0 ? values.size(0) : 0,
      c10::toString(values.scalar_type()), values.device().str());
}

void LangevinUpdate::step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient) {
  check_tensor(y, "y");
  check_tensor(u_next, "u_{t+1}");
  check_tensor(gradient, "gradient");
  const StepArguments arguments{.y = y.mutable_data_ptr<float>(),
      .u_next = u_next.const_data_ptr<float>(),
      .gradient = gradient.const_data_ptr<float>(),
      .count = chains_.count(),
      .dim = y.size(1),
      .rows = chains_.rows(),
      .factors = static_cast<const StepFactors*>(factors_.const_data_ptr()),
      .key = kernel_key(key_)};
  if (chains_.device().is_cpu()) {
    step_on_host(arguments);
  } else {
#ifdef HEBM_CUDA
    const c10::cuda::CUDAGuard guard(chains_.device());
    check_counter({.k = static_cast<std::uint32_t>(k_)}, static_cast<std::uint64_t>(y.size(1)));
    check_launch(
        launch_langevin_step(arguments, device_k_.const_data_ptr<std::int64_t>(), c10::cuda::getCurrentCUDAStream()),
        "langevin_step");
    device_k_.add_(1);
#endif
  }
  ++k_;
}

void LangevinUpdate::step_on_host(const StepArguments& a) const {
  at::parallel_for(0, a.count, rows_at_once(a.dim), [&](std::int64_t first, std::int64_t last) {
    std::vector<float> noise(static_cast<std::size_t>(a.dim));
    for (std::int64_t b = first; b < last; ++b) {
      const ChainRow row = a.rows[b];
      const StepFactors factors = a.factors[row.t];
      fill_normal(noise, key_, counter_of(row, k_));
      float* y = a.y + b * a.dim;
      const float* u = a.u_next + b * a.dim;
      const float* g = a.gradient + b * a.dim;
      const float* n = noise.data();
      for (std::int64_t e = 0; e < a.dim; ++e) y[e] = langevin_element(factors, y[e], u[e], g[e], n[e]);
    }
  });
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
