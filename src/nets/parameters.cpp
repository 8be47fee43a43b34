#include "nets/parameters.h"
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <cmath>
#include "base/error.h"

namespace hebm::nets {

Parameters::Parameters(
    std::uint64_t seed, std::uint32_t stream, at::ScalarType dtype, at::Device device, std::int64_t max_values)
    : seed_(seed), stream_(stream), dtype_(dtype), device_(device), max_values_(max_values) {}

at::Tensor Parameters::make(const std::vector<std::int64_t>& shape, Init init, double scale) {
  std::int64_t wanted = 1;
  for (const auto side : shape) {
    check(side >= 1 && !__builtin_mul_overflow(wanted, side, &wanted) && wanted <= max_values_ - num_values_,
        ExitCode::kCorrupt, "a net of more than {} values was asked for", max_values_);
  }
  num_values_ += wanted;
  if (device_.is_meta()) return at::empty(shape, at::TensorOptions(dtype_).device(device_));
  at::Tensor values = at::zeros(shape, at::kFloat);
  const std::int64_t count = values.numel();
  const std::span<float> out(values.data_ptr<float>(), static_cast<std::size_t>(count));
  const RandomKey key{seed_, 0, Purpose::kInit};
  const RandomCounter counter{.item = next_item_++, .visit = stream_};
  switch (init) {
    case Init::kZero: break;
    case Init::kOne: values.fill_(1.0); break;
    case Init::kNormal:
      fill_normal(out, key, counter);
      values.mul_(scale);
      break;
    case Init::kUniformFanIn: {
      const double fan_in = static_cast<double>(count) / static_cast<double>(shape.at(0));
      fill_uniform(out, key, counter);
      values.mul_(2.0).sub_(1.0).mul_(scale / std::sqrt(fan_in));
      break;
    }
  }
  return values.to(device_, dtype_);
}

at::Tensor Parameters::add(const std::string& name, const std::vector<std::int64_t>& shape, Init init, double scale) {
  check(!flat_.defined(), ExitCode::kRuntime, "parameter {} added after flatten()", name);
  parameters_.push_back({name, make(shape, init, scale)});
  return parameters_.back().tensor;
}

at::Tensor Parameters::add_state(
    const std::string& name, const std::vector<std::int64_t>& shape, Init init, double scale) {
  states_.push_back({name, make(shape, init, scale)});
  return states_.back().tensor;
}

at::Tensor Parameters::add_constant(const at::Tensor& values) {
  constants_.push_back(values.to(device_, values.scalar_type(), /*non_blocking=*/false, /*copy=*/true));
  return constants_.back();
}

void Parameters::flatten() {
  const c10::NoGradGuard no_grad;
  std::int64_t total = 0;
  for (const auto& p : parameters_) total += p.tensor.numel();
  flat_ = at::empty({total}, at::TensorOptions(dtype_).device(device_));
  grad_ = at::zeros({total}, flat_.options());
  for (std::size_t i = 0; const NamedTensor& place : views_of(flat_, "")) place.tensor.copy_(parameters_[i++].tensor);
  bind_views();
}

// The parameters become views of flat_, their gradients of grad_.
void Parameters::bind_views() {
  const auto values = views_of(flat_, ""), gradients = views_of(grad_, "");
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& tensor = parameters_[i].tensor;
    tensor.set_data(values[i].tensor);
    tensor.requires_grad_(true);
    tensor.mutable_grad() = gradients[i].tensor;
  }
}

void Parameters::to(at::Device device) {
  check(flat_.defined(), ExitCode::kRuntime, "parameters moved to {} before flatten()", device.str());
  if (device == device_) return;
  const c10::NoGradGuard no_grad;
  device_ = device;
  flat_ = flat_.to(device);
  grad_ = grad_.to(device);
  bind_views();
  for (auto& s : states_) s.tensor.set_data(s.tensor.to(device));
  for (auto& c : constants_) c.set_data(c.to(device));
}

std::vector<NamedTensor> Parameters::views_of(const at::Tensor& flat, const std::string& prefix) const {
  check(flat.numel() == size(), ExitCode::kRuntime, "views_of: {} elements for {} parameters", flat.numel(), size());
  std::vector<NamedTensor> out;
  std::int64_t at = 0;
  for (const auto& p : parameters_) {
    out.push_back({prefix + p.name, flat.narrow(0, at, p.tensor.numel()).view(p.tensor.sizes())});
    at += p.tensor.numel();
  }
  return out;
}

void Parameters::zero_grad() { grad_.zero_(); }

}  // namespace hebm::nets
