#include "evaluate/statistics.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/outer.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace hebm::evaluate {
namespace {

constexpr std::int64_t kMaxDim = 16384;     // the second moment is then 2 GiB
constexpr std::int64_t kRowsAtOnce = 8192;  // bounds the float64 copy

at::Tensor view_of(const double* data, at::IntArrayRef shape) {
  // from_blob has no const form; callers that hold a const buffer only read.
  return at::from_blob(const_cast<double*>(data), shape, at::TensorOptions().dtype(at::kDouble));
}

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
  fail(
      ExitCode::kRuntime,
      "{}: {} of {} feature vectors hold NaN or Inf (the first is number {}); the images or the feature net are broken",
      what, bad_rows.sum().item<std::int64_t>(), features.size(0),
      bad_rows.nonzero().flatten()[0].item<std::int64_t>());
}

FeatureSums::FeatureSums(std::vector<double> reference) : reference_(std::move(reference)) {
  check(!reference_.empty() && dim() <= kMaxDim, ExitCode::kRuntime, "feature sums: expected 1 to {} features, got {}",
        kMaxDim, reference_.size());
  check(std::all_of(reference_.begin(), reference_.end(), [](double x) { return std::isfinite(x); }),
        ExitCode::kRuntime, "feature sums: the reference vector holds NaN or Inf");
  buffer_.assign(1 + reference_.size() + reference_.size() * reference_.size(), 0.0);
}

FeatureSums FeatureSums::with_zero_reference(std::int64_t dim) {
  check(dim >= 1 && dim <= kMaxDim, ExitCode::kRuntime, "feature sums: expected 1 to {} features, got {}", kMaxDim,
        dim);
  return FeatureSums(std::vector<double>(static_cast<std::size_t>(dim), 0.0));
}

void FeatureSums::add(const at::Tensor& features) {
  check_features(features, 0, "feature sums");
  check(features.size(1) == dim(), ExitCode::kRuntime, "feature sums: expected {} features, got {}", dim(),
        features.size(1));
  const at::Tensor reference = view_of(reference_.data(), {dim()});
  at::Tensor sum = view_of(buffer_.data() + 1, {dim()});
  at::Tensor second = view_of(buffer_.data() + 1 + dim(), {dim(), dim()});
  const at::Tensor host = features.detach().cpu();
  for (std::int64_t first = 0; first < host.size(0); first += kRowsAtOnce) {
    const std::int64_t rows = std::min(kRowsAtOnce, host.size(0) - first);
    const at::Tensor x = host.narrow(0, first, rows).to(at::kDouble) - reference;  // [rows, F]
    sum.add_(x.sum(0));
    second.addmm_(x.t(), x);
  }
  buffer_[0] += static_cast<double>(host.size(0));
}

void FeatureSums::merge(const FeatureSums& other) {
  check(reference_ == other.reference_, ExitCode::kRuntime,
        "feature sums: merging sums of {} and {} features with different reference vectors", dim(), other.dim());
  for (std::size_t i = 0; i < buffer_.size(); ++i) buffer_[i] += other.buffer_[i];
}

Moments FeatureSums::moments() const {
  const double n = buffer_[0];
  check(n >= 2.0 && n == std::floor(n), ExitCode::kRuntime,
        "feature sums: a covariance needs at least 2 feature vectors, got {}", n);
  check(std::all_of(buffer_.begin(), buffer_.end(), [](double x) { return std::isfinite(x); }), ExitCode::kRuntime,
        "feature sums: the sums hold NaN or Inf (features too large for float64, or a broken sum over ranks)");
  const at::Tensor mean = view_of(buffer_.data() + 1, {dim()}) / n;  // of x - reference
  const at::Tensor second = view_of(buffer_.data() + 1 + dim(), {dim(), dim()});
  const at::Tensor covariance = (second - at::outer(mean, mean) * n) / (n - 1.0);
  return {mean + view_of(reference_.data(), {dim()}), (covariance + covariance.t()) * 0.5,
          static_cast<std::int64_t>(n)};
}

}  // namespace hebm::evaluate
