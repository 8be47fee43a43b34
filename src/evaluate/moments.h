// Mean and covariance of feature vectors as streaming sums in float64, so that a set of features
// need not be kept, and how far two sets are apart by them. Errors of this folder are
// Error(kRuntime) unless said; they depend on the data of this rank: wrap them in comm::agree.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string_view>

namespace hebm::evaluate {

// Throws unless features is a float32 or float64 tensor [n, F], n >= min_rows, F >= 1, without NaN
// and Inf. `what` names it.
void check_features(const at::Tensor& features, std::int64_t min_rows, std::string_view what);

struct Moments {
  at::Tensor mean;        // float64 [F], host
  at::Tensor covariance;  // float64 [F, F], host, symmetric, unbiased (n - 1)
  std::int64_t count = 0;
};

class FeatureSums {
 public:
  explicit FeatureSums(std::int64_t dim);
  // features float32 or float64 [n, F] on any device; n may be 0. NaN, Inf or another F is an
  // error, nothing is added.
  void add(const at::Tensor& features);
  Moments moments() const;  // of at least 2
 private:
  std::int64_t count_ = 0;
  at::Tensor sum_, second_;  // float64 [F], [F, F]: of x and of x x^T
};

// Frechet distance between the Gaussians fitted to two sets of features (Heusel et al. 2017, Eq. 6;
// Dowson & Landau 1982):
//   d^2 = |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1^1/2 C2 C1^1/2)^1/2).
// With the features of this project's own classifier the result is called fd_fmnist, never FID.

// float64, symmetric: the last trace is the sum of the singular values of D1^1/2 V1^T V2 D2^1/2
// with Ci = Vi Di Vi^T, which equals the square roots of the eigenvalues of C1^1/2 C2 C1^1/2 but
// does not square the condition number. A covariance may be rank-deficient: eigenvalues within
// rounding of 0 count as 0.

// An eigenvalue below -1e-8 times the largest is an error (not a covariance), as are NaN, Inf,
// other shapes and an asymmetric matrix.
double frechet_distance(const Moments& a, const Moments& b);

}  // namespace hebm::evaluate
