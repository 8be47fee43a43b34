#include "train/gradient_sum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/status.h"

namespace hebm::train {
namespace {

std::span<float> values(const at::Tensor& flat) {
  return {flat.data_ptr<float>(), static_cast<std::size_t>(flat.numel())};
}

// Power of two that puts |x| <= largest below 2^62 even after `terms` additions; 0 where nothing can be scaled.
int shift_for(double largest, std::int64_t terms) {
  if (largest == 0.0) return 0;
  return 61 - static_cast<int>(std::ceil(std::log2(static_cast<double>(terms)))) - (std::ilogb(largest) + 1);
}

}  // namespace

GradientSum::GradientSum(comm::Communicator& comm, std::vector<nets::Parameters*> buckets, bool deterministic,
                         std::int64_t num_micro_batches)
    : comm_(comm), buckets_(std::move(buckets)), deterministic_(deterministic), num_micro_batches_(num_micro_batches),
      kept_(buckets_.size()), pending_(buckets_.size()) {}

double GradientSum::bytes_per_update() const {
  double total = 0;
  for (const auto* bucket : buckets_) total += static_cast<double>(bucket->size()) * (deterministic_ ? 8 : 4);
  return total;
}

void GradientSum::begin(std::vector<std::int64_t> expected) {
  check(expected.size() == buckets_.size(), ExitCode::kRuntime, "gradient sum: {} counts for {} buckets", expected.size(),
        buckets_.size());
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
    pending_[started_] = comm_.start_sum(values(buckets_[started_]->grad()), fmt::format("gradient of bucket {}", started_));
  }
}

void GradientSum::finish() {
  const Timer timer;
  if (deterministic_) {
    finish_deterministic();
  } else {
    start_ready();
    check(started_ == buckets_.size(), ExitCode::kRuntime, "gradient sum: bucket {} still waits for {} backward passes", started_,
          started_ < expected_.size() ? expected_[started_] : 0);
    for (auto& p : pending_) {
      p->wait();
      p.reset();
    }
  }
  waited_s_ += timer.seconds();
}

void GradientSum::finish_deterministic() {
  std::vector<double> largest(buckets_.size() + 1, 0.0);  // last: 1 where a gradient is not finite
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    for (const auto& gradient : kept_[i]) {
      for (const float g : values(gradient)) {
        if (!std::isfinite(g)) largest.back() = 1.0;
        largest[i] = std::max(largest[i], static_cast<double>(std::fabs(g)));
      }
    }
  }
  comm_.all_reduce(std::span<double>(largest), comm::Op::kMax);
  const bool finite = largest.back() == 0.0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    const int shift = finite ? shift_for(largest[i], num_micro_batches_) : 0;
    std::vector<std::int64_t> sum(static_cast<std::size_t>(buckets_[i]->size()), 0);
    const double scale = std::ldexp(1.0, shift), back = std::ldexp(1.0, -shift);  // powers of two: exact
    for (const auto& gradient : kept_[i]) {
      const auto in = values(gradient);
      for (std::size_t e = 0; finite && e < sum.size(); ++e) sum[e] += std::llrint(static_cast<double>(in[e]) * scale);
    }
    kept_[i].clear();
    comm_.start_sum(std::span<std::int64_t>(sum), fmt::format("gradient of bucket {}", i))->wait();
    const auto out = values(buckets_[i]->grad());
    for (std::size_t e = 0; e < sum.size(); ++e) {
      out[e] = finite ? static_cast<float>(static_cast<double>(sum[e]) * back) : std::nanf("");
    }
  }
}

}  // namespace hebm::train
