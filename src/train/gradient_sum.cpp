#include "train/gradient_sum.h"

#include <ATen/ops/max.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/status.h"

namespace hebm::train {
namespace {

template <class T>
std::span<T> span_of(const at::Tensor& flat) {
  return {flat.data_ptr<T>(), static_cast<std::size_t>(flat.numel())};
}

// Power of two that puts |x| <= largest below 2^62 even after `terms` additions; 0 where nothing
// can be scaled.
int shift_for(double largest, std::int64_t terms) {
  if (largest == 0.0) return 0;
  return 61 - static_cast<int>(std::ceil(std::log2(static_cast<double>(terms)))) - (std::ilogb(largest) + 1);
}

}  // namespace

GradientSum::GradientSum(comm::Communicator& comm, std::vector<nets::Parameters*> buckets, bool deterministic,
                         std::int64_t num_micro_batches)
    : comm_(comm),
      buckets_(std::move(buckets)),
      deterministic_(deterministic),
      num_micro_batches_(num_micro_batches),
      kept_(buckets_.size()),
      sums_(buckets_.size()),
      pending_(buckets_.size()) {}

// Where the communicator adds: a GPU's memory under NCCL, else the host's.
at::Tensor GradientSum::summable(const at::Tensor& values) const {
  check(comm_.kind() != "nccl" || values.is_cuda(), ExitCode::kRuntime,
        "gradient sum: NCCL adds in GPU memory, the gradients are on {}", values.device().str());
  const bool stays = values.is_cpu() || comm_.kind() == "nccl" || comm_.size() == 1;
  return stays ? values : values.to(at::kCPU);
}

double GradientSum::bytes_per_update() const {
  double total = 0;
  for (const auto* bucket : buckets_) total += static_cast<double>(bucket->size()) * (deterministic_ ? 8 : 4);
  return total;
}

void GradientSum::begin(std::vector<std::int64_t> expected) {
  check(expected.size() == buckets_.size(), ExitCode::kRuntime, "gradient sum: {} counts for {} buckets",
        expected.size(), buckets_.size());
  expected_ = std::move(expected);
  started_ = 0;
  for (auto* bucket : buckets_) bucket->zero_grad();
}

void GradientSum::backward_done(std::size_t bucket) {
  --expected_.at(bucket);
  if (deterministic_) {
    kept_[bucket].push_back(buckets_[bucket]->grad().clone());
    buckets_[bucket]->zero_grad();
  } else {
    start_ready();
  }
}

void GradientSum::start_ready() {
  for (; started_ < buckets_.size() && expected_[started_] == 0; ++started_) {
    sums_[started_] = summable(buckets_[started_]->grad());
    pending_[started_] =
        comm_.start_sum(span_of<float>(sums_[started_]), fmt::format("gradient of bucket {}", started_));
  }
}

void GradientSum::finish() {
  const Timer timer;
  if (deterministic_) {
    finish_deterministic();
  } else {
    start_ready();
    check(started_ == buckets_.size(), ExitCode::kRuntime, "gradient sum: bucket {} still waits for {} backward passes",
          started_, started_ < expected_.size() ? expected_[started_] : 0);
    for (std::size_t i = 0; i < pending_.size(); ++i) {
      pending_[i]->wait();
      pending_[i].reset();
      if (!sums_[i].is_same(buckets_[i]->grad())) buckets_[i]->grad().copy_(sums_[i]);
      sums_[i].reset();
    }
  }
  waited_s_ += timer.seconds();
}

std::vector<double> GradientSum::norms() const {
  std::vector<at::Tensor> on_gpu;
  std::vector<double> out;
  for (const auto* bucket : buckets_) {
    if (!bucket->device().is_cpu()) {
      on_gpu.push_back(bucket->grad().norm(2, at::kDouble));
      continue;
    }
    const at::Tensor host = bucket->grad().to(at::kDouble);
    double sum = 0;
    for (const double g : span_of<double>(host)) sum += g * g;
    out.push_back(std::sqrt(sum));
  }
  if (on_gpu.empty()) return out;
  const at::Tensor host = at::stack(on_gpu).to(at::kCPU);  // one copy
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

// The largest |gradient| of each bucket over its micro-batches and all ranks, and whether all are
// finite (NaN and Inf show in the largest).
std::pair<std::vector<double>, bool> GradientSum::largest_gradients() {
  std::vector<at::Tensor> local;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    at::Tensor largest = at::zeros({}, buckets_[i]->grad().options());
    for (const auto& gradient : kept_[i]) largest = at::maximum(largest, gradient.abs().max());
    local.push_back(largest.to(at::kDouble));
  }
  const at::Tensor host = at::stack(local).to(at::kCPU);
  std::vector<double> out(host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel());
  out.push_back(std::all_of(out.begin(), out.end(), [](double x) { return std::isfinite(x); }) ? 0.0 : 1.0);
  comm_.all_reduce(std::span<double>(out), comm::Op::kMax);
  const bool finite = out.back() == 0.0;
  out.pop_back();
  return {out, finite};
}

void GradientSum::finish_deterministic() {
  const c10::NoGradGuard no_grad;
  const auto [largest, finite] = largest_gradients();
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    const at::Tensor& grad = buckets_[i]->grad();
    if (!finite) {
      grad.fill_(std::nan(""));
      kept_[i].clear();
      continue;
    }
    const int shift = shift_for(largest[i], num_micro_batches_);
    const double scale = std::ldexp(1.0, shift), back = std::ldexp(1.0, -shift);  // powers of two: exact
    at::Tensor sum = at::zeros(grad.sizes(), grad.options().dtype(at::kLong));
    for (const auto& gradient : kept_[i]) sum.add_(gradient.to(at::kDouble).mul_(scale).round_().to(at::kLong));
    kept_[i].clear();
    const at::Tensor total = summable(sum);
    comm_.start_sum(span_of<std::int64_t>(total), fmt::format("gradient of bucket {}", i))->wait();
    grad.copy_(total.to(at::kDouble).mul_(back));
  }
}

}  // namespace hebm::train
