#include "evaluate/kid.h"
#include <gtest/gtest.h>
#include <cmath>
#include <limits>
#include "base/error.h"
#include "feature_sets.h"

namespace hebm::evaluate {
namespace {

using testing::standard_normal;

double kernel(const at::Tensor& x, std::int64_t i, const at::Tensor& y, std::int64_t j) {
  const auto a = x.accessor<double, 2>(), b = y.accessor<double, 2>();
  double dot = 0;
  for (std::int64_t f = 0; f < x.size(1); ++f) dot += a[i][f] * b[j][f];
  return std::pow(dot / static_cast<double>(x.size(1)) + 1.0, 3);
}

// The O(n^2) definition (Binkowski 2018, Eq. 4), loop by loop.
double definition(const at::Tensor& x, const at::Tensor& y) {
  const std::int64_t n = x.size(0), m = y.size(0);
  double xx = 0, yy = 0, xy = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) xx += i == j ? 0.0 : kernel(x, i, x, j);
  }
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < m; ++j) yy += i == j ? 0.0 : kernel(y, i, y, j);
  }
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < m; ++j) xy += kernel(x, i, y, j);
  }
  const double dn = static_cast<double>(n), dm = static_cast<double>(m);
  return xx / (dn * (dn - 1)) + yy / (dm * (dm - 1)) - 2 * xy / (dn * dm);
}

TEST(Kid, EqualsTheDefinition) {
  const at::Tensor x = standard_normal(40, 6, 1), y = standard_normal(55, 6, 2) * 1.5f + 0.2f;
  const double truth = definition(x.to(at::kDouble), y.to(at::kDouble));
  EXPECT_NEAR(mmd_squared(x, y), truth, 1e-12 * 55);
}

TEST(Kid, OneSubsetOfTheWholeSetIsTheFullEstimate) {
  const at::Tensor x = standard_normal(50, 4, 3), y = standard_normal(50, 4, 4) + 0.5f;
  const Kid kid = kernel_distance(x, y, {.subset_size = 1000, .num_subsets = 1, .key = {}});
  EXPECT_EQ(kid.subset_size, 50);
  EXPECT_NEAR(kid.mean, mmd_squared(x, y), 1e-12);
  EXPECT_EQ(kid.standard_error, 0.0);
}

// F = 1: k = 1 + 3 x y + 3 (x y)^2 + (x y)^3, so MMD^2 = 3 d1^2 + 3 d2^2 + d3^2 with dp the
// difference of the p-th moments. N(0, 1) against N(0.5, 1): d1 = 0.5, d2 = 0.25, d3 = 0.125 + 1.5.
TEST(Kid, KnownExpectation) {
  const double truth = 3 * 0.25 + 3 * 0.0625 + 1.625 * 1.625;
  const at::Tensor x = standard_normal(40000, 1, 5), y = standard_normal(40000, 1, 6) + 0.5f;
  const Kid kid = kernel_distance(x, y, {.subset_size = 1000, .num_subsets = 40, .key = {}});
  EXPECT_GT(kid.standard_error, 0.01);
  EXPECT_LT(kid.standard_error, 0.3);
  EXPECT_NEAR(kid.mean, truth, 4 * kid.standard_error);
}

// Unbiased: equal distributions give 0 within the standard error, from small subsets too.
TEST(Kid, EqualDistributionsGiveZero) {
  const at::Tensor x = standard_normal(4000, 8, 7), y = standard_normal(4000, 8, 8);
  const Kid kid = kernel_distance(x, y, {.subset_size = 40, .num_subsets = 100, .key = {}});
  EXPECT_GT(kid.standard_error, 0.0);
  EXPECT_LT(std::abs(kid.mean), 4 * kid.standard_error);
}

TEST(Kid, SubsetsDependOnTheKeyOnly) {
  const at::Tensor x = standard_normal(500, 3, 9), y = standard_normal(400, 3, 10) + 0.3f;
  KidOptions options{.subset_size = 100, .num_subsets = 10, .key = {1, 0, Purpose::kSubset}};
  const Kid a = kernel_distance(x, y, options), b = kernel_distance(x, y, options);
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.standard_error, b.standard_error);
  options.key.seed = 2;
  EXPECT_NE(kernel_distance(x, y, options).mean, a.mean);
}

// A rare outlier is in exactly one of the disjoint blocks that cover the set once, whatever the
// key.
TEST(Kid, BlocksCoverTheSet) {
  const at::Tensor y = standard_normal(100, 2, 11);
  at::Tensor x = standard_normal(100, 2, 12);
  for (const std::uint64_t seed : {1, 2, 3}) {
    const KidOptions options{.subset_size = 20, .num_subsets = 5, .key = {seed, 0, Purpose::kSubset}};
    const double before = kernel_distance(x, y, options).mean;
    for (std::int64_t i = 0; i < 100; i += 33) {
      at::Tensor changed = x.clone();
      changed[i] = 30.0f;
      EXPECT_GT(std::abs(kernel_distance(changed, y, options).mean - before), 1.0);
    }
  }
}

TEST(Kid, RefusesWhatIsNotFeatures) {
  const at::Tensor x = standard_normal(10, 3, 13);
  EXPECT_THROW(mmd_squared(x, standard_normal(10, 4, 13)), Error);
  EXPECT_THROW(mmd_squared(x, standard_normal(1, 3, 13)), Error);
  at::Tensor bad = x.clone();
  bad[0][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(kernel_distance(x, bad), Error);
  EXPECT_THROW(kernel_distance(x, x, {.subset_size = 1, .num_subsets = 1, .key = {}}), Error);
  EXPECT_THROW(kernel_distance(x, x, {.subset_size = 5, .num_subsets = 0, .key = {}}), Error);
}

}  // namespace
}  // namespace hebm::evaluate
