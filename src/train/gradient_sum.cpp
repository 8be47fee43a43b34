#include "train/gradient_sum.h"
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/split_with_sizes.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include "base/error.h"
#include "base/status.h"

namespace hebm::train {

GradientSum::GradientSum(comm::Communicator& comm, std::vector<Bucket> buckets, bool deterministic,
    std::int64_t num_micro_batches, std::int64_t joined_bytes)
    : comm_(comm),
      buckets_(std::move(buckets)),
      deterministic_(deterministic),
      num_micro_batches_(num_micro_batches),
      kept_(buckets_.size()) {
  // Alone nothing is sent, so nothing is copied together either.
  const std::int64_t most = comm.kind() == comm::Kind::kSingle ? 0 : joined_bytes / (deterministic ? 8 : 4);
  std::int64_t joined = 0;  // values of the last group
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const std::int64_t size = buckets_[b].params.size();
    if (groups_.empty() || joined + size > most) {
      groups_.push_back({b, b, {}, {}, {}});
      joined = 0;
    }
    groups_.back().last = b + 1;
    joined += size;
  }
}

// Where the communicator adds: a GPU's memory under NCCL, else the host's.
at::Tensor GradientSum::summable(const at::Tensor& values) const {
  check(comm_.kind() != comm::Kind::kNccl || values.is_cuda(), ExitCode::kRuntime,
      "gradient sum: NCCL adds in GPU memory, the gradients are on {}", values.device().str());
  const bool stays = values.is_cpu() || comm_.kind() == comm::Kind::kNccl || comm_.size() == 1;
  return stays ? values : values.to(at::kCPU);
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
  for (; started_ < groups_.size(); ++started_) {
    Group& group = groups_[started_];
    std::vector<at::Tensor> gradients;
    for (std::size_t b = group.first; b < group.last; ++b) {
      if (expected_[b] != 0) return;
      gradients.push_back(buckets_[b].params.grad());
    }
    start(group, gradients);
  }
}

void GradientSum::start(Group& group, const std::vector<at::Tensor>& values) {
  if (values.size() == 1) {
    group.sum = summable(values.front());
  } else {
    if (!group.joined.defined()) group.joined = at::empty({0}, values.front().options());
    group.sum = summable(at::cat_out(group.joined, values));
  }
  const auto count = static_cast<std::size_t>(group.sum.numel());
  const comm::Values sum = group.sum.scalar_type() == at::kLong
                               ? comm::Values(std::span(group.sum.data_ptr<std::int64_t>(), count))
                               : comm::Values(std::span(group.sum.data_ptr<float>(), count));
  group.pending = comm_.start_sum(sum, fmt::format("gradient of buckets {} to {}", group.first, group.last - 1));
}

std::vector<at::Tensor> GradientSum::finish(Group& group) {
  group.pending->wait();
  group.pending.reset();
  std::vector<std::int64_t> sizes;
  for (std::size_t b = group.first; b < group.last; ++b) sizes.push_back(buckets_[b].params.size());
  return at::split_with_sizes(std::exchange(group.sum, {}), sizes);
}

void GradientSum::finish() {
  const Timer timer;
  if (deterministic_) {
    finish_deterministic();
  } else {
    start_ready();
    const auto missing = std::ranges::find_if(expected_, [](std::int64_t passes) { return passes != 0; });
    check(missing == expected_.end(), ExitCode::kRuntime, "gradient sum: bucket {} still waits for {} backward passes",
        missing - expected_.begin(), missing == expected_.end() ? 0 : *missing);
    for (Group& group : groups_) {
      const std::vector<at::Tensor> sums = finish(group);
      for (std::size_t b = group.first; b < group.last; ++b) {
        const at::Tensor &grad = buckets_[b].params.grad(), &sum = sums[b - group.first];
        if (sum.data_ptr() != grad.data_ptr()) grad.copy_(sum);
      }
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
    const std::span<const double> gradient(host.const_data_ptr<double>(), static_cast<std::size_t>(host.numel()));
    for (const double g : gradient) sum += g * g;
    out.push_back(std::sqrt(sum));
  }
  if (on_gpu.empty()) return out;
  const at::Tensor host = at::stack(on_gpu).to(at::kCPU);  // one copy
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

}  // namespace hebm::train
