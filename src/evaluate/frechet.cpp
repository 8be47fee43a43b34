#include "evaluate/frechet.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <algorithm>
#include <limits>
#include <tuple>
#include "base/error.h"
#include "evaluate/measure.h"

namespace hebm::evaluate {
namespace {

constexpr double kNegativeBound = 1e-8;  // relative to the largest eigenvalue; rounding gives about F * 1e-16

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

FrechetDistance frechet_distance(const Moments& a, const Moments& b) {
  check_moments(a, "first");
  check_moments(b, "second");
  check(a.mean.size(0) == b.mean.size(0), ExitCode::kRuntime,
      "Frechet distance: the two sets have {} and {} features; they must come from the same feature net",
      a.mean.size(0), b.mean.size(0));
  const Root root_a = factorise(a.covariance, "first"), root_b = factorise(b.covariance, "second");
  const double cross = at::linalg_svdvals(at::matmul(root_a.factor, root_b.factor.t())).sum().item<double>();
  FrechetDistance result;
  result.mean_part = (a.mean - b.mean).square().sum().item<double>();
  // Never negative in exact arithmetic; equal covariances leave rounding of either sign.
  result.covariance_part = std::max(0.0, root_a.trace + root_b.trace - 2.0 * cross);
  return result;
}

template <> results::Score measure<results::score("fd_fmnist")>(const ScoreInput& in) {
  return in.on_root([&] { return results::Score{frechet_distance(in.real.moments, in.images.moments).total()}; });
}

}  // namespace hebm::evaluate
