// Kernel inception distance (Binkowski et al. 2018, Sec. 4) on any features: the unbiased estimate
// of MMD^2 with the kernel k(x, y) = (x.y / F + 1)^3, as the mean over subsets. Unlike the Frechet
// distance it has no bias in the number of images; it may be slightly negative. Features are
// gathered for it (5,000 x 128 float32 are 2.5 MB).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include "base/random.h"

namespace hebm::evaluate {

struct KidOptions {
  std::int64_t subset_size = 1000;  // 2 .. the smaller set; a larger value is lowered to that
  std::int64_t num_subsets = 25;
  RandomKey key{0, 0, Purpose::kSubset};
};

struct Kid {
  double mean = 0;
  // Standard deviation of the subsets' values over sqrt(number of them that are disjoint in both
  // sets); 0 for one.
  double standard_error = 0;
  std::int64_t subset_size = 0, num_subsets = 0;
};

// sum_{i != j} k(x_i, x_j) / (n (n-1)) + the same of y - 2 mean k(x_i, y_j); x [n, F], y [m, F], n,
// m >= 2. float64.
double mmd_squared(const at::Tensor& x, const at::Tensor& y);

// real [n, F], generated [m, F], float32 or float64. Subsets are consecutive blocks of keyed
// permutations of each set (disjoint until a set is used up, then from the next permutation): a
// pure function of key, sizes and the features' order.
Kid kernel_distance(const at::Tensor& real, const at::Tensor& generated, const KidOptions& options = {});

}  // namespace hebm::evaluate
