#include "evaluate/moments.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros.h>
#include <algorithm>
#include <limits>
#include "base/error.h"
#include "evaluate/measure.h"

namespace hebm::evaluate {
namespace {

constexpr std::int64_t kMaxDim = 16384;     // the second moment is then 2 GiB
constexpr std::int64_t kRowsAtOnce = 8192;  // bounds the float64 copy
constexpr double kNegativeBound = 1e-8;     // relative to the largest eigenvalue; rounding gives about F * 1e-16

void check_moments(const Moments& m, const char* which) {
  check(m.mean.defined() && m.covariance.defined() && m.mean.dim() == 1 && m.covariance.dim() == 2 &&
            m.mean.scalar_type() == at::kDouble && m.covariance.scalar_type() == at::kDouble,
      ExitCode::kRuntime, "Frechet distance: the {} moments are not float64 [F] and [F, F]", which);
  const std::int64_t dim = m.mean.size(0);
  check(dim >= 1 && m.covariance.size(0) == dim && m.covariance.size(1) == dim, ExitCode::kRuntime,
      "Frechet distance: the {} mean has {} features, its covariance is {} x {}", which, dim, m.covariance.size(0),
      m.covariance.size(1));
  check(at::isfinite(m.mean).all().item<bool>() && at::isfinite(m.covariance).all().item<bool>(), ExitCode::kRuntime,
      "Frechet distance: the {} moments hold NaN or Inf", which);
  const double largest = m.covariance.abs().max().item<double>();
  const double asymmetry = (m.covariance - m.covariance.t()).abs().max().item<double>();
  check(asymmetry <= 1e-10 * largest, ExitCode::kRuntime,
      "Frechet distance: the {} covariance is not symmetric: |C - C^T| reaches {:.3g}, its largest entry is {:.3g}",
      which, asymmetry, largest);
}

struct Root {
  at::Tensor factor;  // D^1/2 V^T [F, F]
  double trace = 0;   // of D
};

Root factorise(const at::Tensor& covariance, const char* which) {
  const auto [values, vectors] = at::linalg_eigh(covariance);
  const double largest = values.abs().max().item<double>();
  const double smallest = values.min().item<double>();
  check(smallest >= -kNegativeBound * largest, ExitCode::kRuntime,
      "Frechet distance: the {} covariance has the eigenvalue {:.6g} (allowed: {:.3g} times the largest, {:.6g}): it "
      "is "
      "not a covariance matrix",
      which, smallest, -kNegativeBound, largest);
  // What the eigenvalue solver cannot tell from 0: its square root would be 1e8 times larger than
  // the error itself.
  const double rounding = static_cast<double>(values.size(0)) * std::numeric_limits<double>::epsilon() * largest;
  const at::Tensor clamped = values.masked_fill(values.le(rounding), 0.0);
  return {clamped.sqrt().unsqueeze(1) * vectors.t(), clamped.sum().item<double>()};
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
  for (const at::Tensor& rows : host.split(kRowsAtOnce)) {
    const at::Tensor x = rows.to(at::kDouble);  // [rows, F]
    sum_ = sum_ + x.sum(0);                     // not in place: copies of this object would share it
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

double frechet_distance(const Moments& a, const Moments& b) {
  check_moments(a, "first");
  check_moments(b, "second");
  check(a.mean.size(0) == b.mean.size(0), ExitCode::kRuntime,
      "Frechet distance: the two sets have {} and {} features; they must come from the same feature net",
      a.mean.size(0), b.mean.size(0));
  const Root root_a = factorise(a.covariance, "first"), root_b = factorise(b.covariance, "second");
  const double cross = at::linalg_svdvals(at::matmul(root_a.factor, root_b.factor.t())).sum().item<double>();
  // The part of the covariances is never negative in exact arithmetic; equal ones leave rounding of
  // either sign.
  return (a.mean - b.mean).square().sum().item<double>() + std::max(0.0, root_a.trace + root_b.trace - 2.0 * cross);
}

template <> results::Score measure<results::score("fd_fmnist")>(const ScoreInput& in) {
  return in.on_root([&] { return results::Score{frechet_distance(in.real.moments, in.images.moments)}; });
}

template <> results::Score measure<results::score("fd_posterior")>(const ScoreInput& in) {
  return in.on_root([&] { return results::Score{frechet_distance(in.posterior.moments, in.images.moments)}; });
}

}  // namespace hebm::evaluate
