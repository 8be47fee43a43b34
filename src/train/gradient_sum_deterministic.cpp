// train.deterministic: int64 sums, the same bits in any order and on any number of ranks.
#include <ATen/ops/max.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
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
  for (Group& group : groups_) {
    std::vector<at::Tensor> scaled;
    std::vector<double> back;  // powers of two: exact
    for (std::size_t b = group.first; b < group.last; ++b) {
      const at::Tensor& grad = buckets_[b].params.grad();
      const std::vector<at::Tensor> kept = std::exchange(kept_[b], {});
      if (largest.empty()) {
        grad.fill_(std::nan(""));
        continue;
      }
      const int shift = shift_for(largest[b], num_micro_batches_);
      scaled.push_back(at::zeros(grad.sizes(), grad.options().dtype(at::kLong)));
      for (const auto& gradient : kept)
        scaled.back().add_(gradient.to(at::kDouble).mul_(std::ldexp(1.0, shift)).round_().to(at::kLong));
      back.push_back(std::ldexp(1.0, -shift));
    }
    if (largest.empty()) continue;
    start(group, scaled);
    const std::vector<at::Tensor> sums = finish(group);
    for (std::size_t i = 0; i < sums.size(); ++i)
      buckets_[group.first + i].params.grad().copy_(sums[i].to(at::kDouble).mul_(back[i]));
  }
}

}  // namespace hebm::train
