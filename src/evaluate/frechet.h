// Frechet distance between the Gaussians fitted to two sets of features (Heusel et al. 2017, Eq. 6;
// Dowson & Landau 1982):
//   d^2 = |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1^1/2 C2 C1^1/2)^1/2).
// With the features of this project's own classifier the result is called fd_fmnist, never FID.
#pragma once
#include "evaluate/statistics.h"

namespace hebm::evaluate {

struct FrechetDistance {
  double mean_part = 0;        // |m1 - m2|^2
  double covariance_part = 0;  // the rest, >= 0
  double total() const { return mean_part + covariance_part; }
};

// float64, symmetric: the last trace is the sum of the singular values of D1^1/2 V1^T V2 D2^1/2
// with Ci = Vi Di Vi^T, which equals the square roots of the eigenvalues of C1^1/2 C2 C1^1/2 but
// does not square the condition number. A covariance may be rank-deficient: eigenvalues within
// rounding of 0 count as 0. One below -1e-8 times the largest is an error (not a covariance), as
// are NaN, Inf, other shapes and an asymmetric matrix. All are Error(kRuntime).
FrechetDistance frechet_distance(const Moments& a, const Moments& b);

}  // namespace hebm::evaluate
