// train.deterministic: int64 sums, the same bits in any order and on any number of ranks.
#include <ATen/ops/max.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <utility>
#include "train/gradient_sum.h"

namespace hebm::train {
namespace {

// Power of two that puts |x| <= largest below 2^62 even after `terms` additions; 0 where nothing
// can be scaled.
int shift_for(double largest, std::int64_t terms) {
  if (largest == 0.0) return 0;
  return 61 - static_cast<int>(std::ceil(std::log2(static_cast<double>(terms)))) - (std::ilogb(largest) + 1);
}

}  // namespace

// The largest |gradient| of each bucket over its micro-batches and all ranks; {} where one is not
// finite (NaN and Inf show in the largest).
std::vector<double> GradientSum::largest_gradients() const {
  std::vector<at::Tensor> local;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    at::Tensor largest = at::zeros({}, buckets_[i].params.grad().options());
    for (const auto& gradient : kept_[i]) largest = at::maximum(largest, gradient.abs().max());
    local.push_back(largest.to(at::kDouble));
  }
  const at::Tensor host = at::stack(local).to(at::kCPU);
  std::vector<double> out(host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel());
  out.push_back(std::all_of(out.begin(), out.end(), [](double x) { return std::isfinite(x); }) ? 0.0 : 1.0);
  comm_.all_reduce(std::span<double>(out), comm::Op::kMax);
  return out.back() == 0.0 ? out : std::vector<double>();
}

void GradientSum::finish_deterministic() {
  const c10::NoGradGuard no_grad;
  const std::vector<double> largest = largest_gradients();
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    const at::Tensor& grad = buckets_[i].params.grad();
    const std::vector<at::Tensor> kept = std::exchange(kept_[i], {});
    if (largest.empty()) {
      grad.fill_(std::nan(""));
      continue;
    }
    const int shift = shift_for(largest[i], num_micro_batches_);
    const double scale = std::ldexp(1.0, shift), back = std::ldexp(1.0, -shift);  // powers of two: exact
    at::Tensor sum = at::zeros(grad.sizes(), grad.options().dtype(at::kLong));
    for (const auto& gradient : kept) sum.add_(gradient.to(at::kDouble).mul_(scale).round_().to(at::kLong));
    const at::Tensor total = summable(sum);
    const std::span<std::int64_t> values(total.data_ptr<std::int64_t>(), static_cast<std::size_t>(total.numel()));
    comm_.start_sum(values, fmt::format("gradient of bucket {}", i))->wait();
    grad.copy_(total.to(at::kDouble).mul_(back));
  }
}

}  // namespace hebm::train
