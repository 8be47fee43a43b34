#include "evaluate/statistics.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros.h>
#include <algorithm>
#include "base/error.h"

namespace hebm::evaluate {
namespace {

constexpr std::int64_t kMaxDim = 16384;     // the second moment is then 2 GiB
constexpr std::int64_t kRowsAtOnce = 8192;  // bounds the float64 copy

}  // namespace

void check_features(const at::Tensor& features, std::int64_t min_rows, std::string_view what) {
  check(features.defined() && features.dim() == 2 && features.size(1) >= 1, ExitCode::kRuntime,
      "{}: expected features of shape [n, F], got {} dimensions", what, features.defined() ? features.dim() : 0);
  check(features.scalar_type() == at::kFloat || features.scalar_type() == at::kDouble, ExitCode::kRuntime,
      "{}: expected features of type float32 or float64, got {}", what, c10::toString(features.scalar_type()));
  check(features.size(0) >= min_rows, ExitCode::kRuntime, "{}: expected at least {} feature vectors, got {}", what,
      min_rows, features.size(0));
  if (features.numel() == 0 || at::isfinite(features).all().item<bool>()) return;
  const at::Tensor bad_rows = at::isfinite(features).all(1).logical_not();
  fail(ExitCode::kRuntime,
      "{}: {} of {} feature vectors hold NaN or Inf (the first is number {}); the images or the feature net are broken",
      what, bad_rows.sum().item<std::int64_t>(), features.size(0),
      bad_rows.nonzero().flatten()[0].item<std::int64_t>());
}

FeatureSums::FeatureSums(std::int64_t dim) {
  check(
      dim >= 1 && dim <= kMaxDim, ExitCode::kRuntime, "feature sums: expected 1 to {} features, got {}", kMaxDim, dim);
  sum_ = at::zeros({dim}, at::kDouble);
  second_ = at::zeros({dim, dim}, at::kDouble);
}

void FeatureSums::add(const at::Tensor& features) {
  check_features(features, 0, "feature sums");
  check(features.size(1) == sum_.size(0), ExitCode::kRuntime, "feature sums: expected {} features, got {}",
      sum_.size(0), features.size(1));
  const at::Tensor host = features.detach().cpu();
  for (std::int64_t first = 0; first < host.size(0); first += kRowsAtOnce) {
    const std::int64_t rows = std::min(kRowsAtOnce, host.size(0) - first);
    const at::Tensor x = host.narrow(0, first, rows).to(at::kDouble);  // [rows, F]
    sum_ = sum_ + x.sum(0);  // not in place: copies of this object would share it
    second_ = at::addmm(second_, x.t(), x);
  }
  count_ += host.size(0);
}

Moments FeatureSums::moments() const {
  check(count_ >= 2, ExitCode::kRuntime, "feature sums: a covariance needs at least 2 feature vectors, got {}", count_);
  check(at::isfinite(second_).all().item<bool>(), ExitCode::kRuntime,
      "feature sums: the sums hold NaN or Inf (features too large for float64)");
  const auto n = static_cast<double>(count_);
  const at::Tensor mean = sum_ / n, covariance = (second_ - at::outer(mean, mean) * n) / (n - 1.0);
  return {mean, (covariance + covariance.t()) * 0.5, count_};
}

}  // namespace hebm::evaluate
