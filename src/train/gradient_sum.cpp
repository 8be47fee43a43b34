#include "train/gradient_sum.h"
#include <ATen/ops/stack.h>
#include <fmt/format.h>
#include <cmath>
#include "base/error.h"
#include "base/status.h"

namespace hebm::train {
namespace {

template <class T> std::span<T> span_of(const at::Tensor& flat) {
  return {flat.data_ptr<T>(), static_cast<std::size_t>(flat.numel())};
}

}  // namespace

GradientSum::GradientSum(
    comm::Communicator& comm, std::vector<Bucket> buckets, bool deterministic, std::int64_t num_micro_batches)
    : comm_(comm),
      buckets_(std::move(buckets)),
      deterministic_(deterministic),
      num_micro_batches_(num_micro_batches),
      kept_(buckets_.size()),
      sums_(buckets_.size()),
      pending_(buckets_.size()) {}

// Where the communicator adds: a GPU's memory under NCCL, else the host's.
at::Tensor GradientSum::summable(const at::Tensor& values) const {
  check(comm_.kind() != comm::Kind::kNccl || values.is_cuda(), ExitCode::kRuntime,
      "gradient sum: NCCL adds in GPU memory, the gradients are on {}", values.device().str());
  const bool stays = values.is_cpu() || comm_.kind() == comm::Kind::kNccl || comm_.size() == 1;
  return stays ? values : values.to(at::kCPU);
}

double GradientSum::bytes_per_update() const {
  double total = 0;
  for (const auto& [prefix, params] : buckets_) total += static_cast<double>(params.size()) * (deterministic_ ? 8 : 4);
  return total;
}

void GradientSum::begin(std::vector<std::int64_t> expected) {
  check(expected.size() == buckets_.size(), ExitCode::kRuntime, "gradient sum: {} counts for {} buckets",
      expected.size(), buckets_.size());
  expected_ = std::move(expected);
  started_ = 0;
  for (const auto& [prefix, params] : buckets_) params.zero_grad();
}

void GradientSum::backward_done(std::size_t bucket) {
  --expected_.at(bucket);
  if (deterministic_) {
    kept_[bucket].push_back(buckets_[bucket].params.grad().clone());
    buckets_[bucket].params.zero_grad();
  } else {
    start_ready();
  }
}

void GradientSum::start_ready() {
  for (; started_ < buckets_.size() && expected_[started_] == 0; ++started_) {
    sums_[started_] = summable(buckets_[started_].params.grad());
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
      const at::Tensor& grad = buckets_[i].params.grad();
      if (!sums_[i].is_same(grad)) grad.copy_(sums_[i]);
      sums_[i].reset();
    }
  }
  waited_s_ += timer.seconds();
}

std::vector<double> GradientSum::norms() const {
  std::vector<at::Tensor> on_gpu;
  std::vector<double> out;
  for (const auto& [prefix, params] : buckets_) {
    if (!params.device().is_cpu()) {
      on_gpu.push_back(params.grad().norm(2, at::kDouble));
      continue;
    }
    const at::Tensor host = params.grad().to(at::kDouble);
    double sum = 0;
    for (const double g : span_of<double>(host)) sum += g * g;
    out.push_back(std::sqrt(sum));
  }
  if (on_gpu.empty()) return out;
  const at::Tensor host = at::stack(on_gpu).to(at::kCPU);  // one copy
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

}  // namespace hebm::train
