#include "evaluate/measure.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include "base/error.h"
#include "comm/single_communicator.h"
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
  const results::Score kid = kernel_distance(x, y, {.subset_size = 1000, .num_subsets = 1, .key = {}});
  EXPECT_NEAR(kid.value, mmd_squared(x, y), 1e-12);
  EXPECT_EQ(kid.error, 0.0);
}

// F = 1: k = 1 + 3 x y + 3 (x y)^2 + (x y)^3, so MMD^2 = 3 d1^2 + 3 d2^2 + d3^2 with dp the
// difference of the p-th moments. N(0, 1) against N(0.5, 1): d1 = 0.5, d2 = 0.25, d3 = 0.125 + 1.5.
TEST(Kid, KnownExpectation) {
  const double truth = 3 * 0.25 + 3 * 0.0625 + 1.625 * 1.625;
  const at::Tensor x = standard_normal(40000, 1, 5), y = standard_normal(40000, 1, 6) + 0.5f;
  const results::Score kid = kernel_distance(x, y, {.subset_size = 1000, .num_subsets = 40, .key = {}});
  EXPECT_GT(kid.error, 0.01);
  EXPECT_LT(kid.error, 0.3);
  EXPECT_NEAR(kid.value, truth, 4 * kid.error);
}

// Unbiased: equal distributions give 0 within the standard error, from small subsets too.
TEST(Kid, EqualDistributionsGiveZero) {
  const at::Tensor x = standard_normal(4000, 8, 7), y = standard_normal(4000, 8, 8);
  const results::Score kid = kernel_distance(x, y, {.subset_size = 40, .num_subsets = 100, .key = {}});
  EXPECT_GT(kid.error, 0.0);
  EXPECT_LT(std::abs(kid.value), 4 * kid.error);
}

TEST(Kid, SubsetsDependOnTheKeyOnly) {
  const at::Tensor x = standard_normal(500, 3, 9), y = standard_normal(400, 3, 10) + 0.3f;
  KidOptions options{.subset_size = 100, .num_subsets = 10, .key = {1, 0, Purpose::kSubset}};
  const results::Score a = kernel_distance(x, y, options), b = kernel_distance(x, y, options);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.error, b.error);
  options.key.seed = 2;
  EXPECT_NE(kernel_distance(x, y, options).value, a.value);
}

// A rare outlier is in exactly one of the disjoint blocks that cover the set once, whatever the
// key.
TEST(Kid, BlocksCoverTheSet) {
  const at::Tensor y = standard_normal(100, 2, 11);
  at::Tensor x = standard_normal(100, 2, 12);
  for (const std::uint64_t seed : {1, 2, 3}) {
    const KidOptions options{.subset_size = 20, .num_subsets = 5, .key = {seed, 0, Purpose::kSubset}};
    const double before = kernel_distance(x, y, options).value;
    for (std::int64_t i = 0; i < 100; i += 33) {
      at::Tensor changed = x.clone();
      changed[i] = 30.0f;
      EXPECT_GT(std::abs(kernel_distance(changed, y, options).value - before), 1.0);
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

at::Tensor line(std::initializer_list<double> values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kDouble)).unsqueeze(1);
}

struct PrecisionRecall {
  double precision = 0, recall = 0;
};
// As ranks do it with their rows.
PrecisionRecall precision_recall(const at::Tensor& real, const at::Tensor& generated, std::int64_t k = 3) {
  const auto share = [k](const at::Tensor& points, const at::Tensor& centres) {
    const at::Tensor radii = neighbour_radii(centres, k, 0, centres.size(0));
    return static_cast<double>(count_inside(points, centres, radii)) / static_cast<double>(points.size(0));
  };
  return {share(generated, real), share(real, generated)};
}

TEST(PrecisionRecall, RadiiByHand) {
  const at::Tensor x = line({0, 1, 3, 7});
  const at::Tensor one = neighbour_radii(x, 1, 0, 4), two = neighbour_radii(x, 2, 0, 4);
  for (const auto& [i, r1, r2] : {std::tuple{0, 1.0, 3.0}, {1, 1.0, 2.0}, {2, 2.0, 3.0}, {3, 4.0, 6.0}}) {
    EXPECT_EQ(one[i].item<double>(), r1);
    EXPECT_EQ(two[i].item<double>(), r2);
  }
  EXPECT_TRUE(neighbour_radii(x, 2, 1, 2).equal(two.narrow(0, 1, 2)));  // a rank's rows
}

TEST(PrecisionRecall, IdenticalSetsGiveOne) {
  const at::Tensor x = standard_normal(300, 16, 1);
  const PrecisionRecall pr = precision_recall(x, x.clone());
  EXPECT_EQ(pr.precision, 1.0);
  EXPECT_EQ(pr.recall, 1.0);
}

TEST(PrecisionRecall, DisjointSetsGiveZero) {
  const at::Tensor x = standard_normal(200, 4, 2);
  const PrecisionRecall pr = precision_recall(x, x + 1000.0f);
  EXPECT_EQ(pr.precision, 0.0);
  EXPECT_EQ(pr.recall, 0.0);
}

// Real: 0..99 on a line and a far cluster; generated: 50..149. With k = 3 the balls inside a row of
// integers have radius 2, that of the end points 3.
TEST(PrecisionRecall, HalfOverlapByHand) {
  const auto integers = [](double from, double to) {
    return at::arange(from, to, at::TensorOptions().dtype(at::kDouble)).unsqueeze(1);
  };
  const PrecisionRecall pr = precision_recall(integers(0, 100), integers(50, 150), 3);
  EXPECT_DOUBLE_EQ(pr.precision, (50.0 + 3.0) / 100.0);  // 100, 101, 102 lie within 3 of 99
  EXPECT_DOUBLE_EQ(pr.recall, (50.0 + 3.0) / 100.0);
}

TEST(PrecisionRecall, ModeDroppingLowersRecallOnly) {
  const at::Tensor a = standard_normal(200, 3, 3), b = standard_normal(200, 3, 4) + 100.0f;
  const PrecisionRecall dropped = precision_recall(at::cat({a, b}), a);
  EXPECT_EQ(dropped.precision, 1.0);
  EXPECT_DOUBLE_EQ(dropped.recall, 0.5);
  const PrecisionRecall invented = precision_recall(a, at::cat({a, b}));
  EXPECT_DOUBLE_EQ(invented.precision, 0.5);
  EXPECT_EQ(invented.recall, 1.0);
}

// All copies of one point: radius 0, and the closed ball still holds the copies.
TEST(PrecisionRecall, DuplicatesHaveRadiusZero) {
  const at::Tensor x = standard_normal(1, 8, 5).expand({6, 8}).contiguous();
  EXPECT_EQ(neighbour_radii(x, 3, 0, 6).abs().max().item<double>(), 0.0);
  const PrecisionRecall pr = precision_recall(x, x.clone());
  EXPECT_EQ(pr.precision, 1.0);
}

// Against loops over all pairs, with more points than one chunk holds at this column count.
TEST(PrecisionRecall, ChunksEqualTheDefinition) {
  const std::int64_t n = 3000, k = 4;
  const at::Tensor real = standard_normal(n, 2, 6), generated = standard_normal(n, 2, 7) * 1.3f;
  const at::Tensor x = real.to(at::kDouble), y = generated.to(at::kDouble);
  const auto a = x.accessor<double, 2>(), b = y.accessor<double, 2>();
  std::vector<double> radius(static_cast<std::size_t>(n)), row(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j)
      row[static_cast<std::size_t>(j)] = std::hypot(a[i][0] - a[j][0], a[i][1] - a[j][1]);
    row[static_cast<std::size_t>(i)] = std::numeric_limits<double>::infinity();
    std::nth_element(row.begin(), row.begin() + (k - 1), row.end());
    radius[static_cast<std::size_t>(i)] = row[static_cast<std::size_t>(k - 1)];
  }
  std::int64_t inside = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    bool any = false;
    for (std::int64_t i = 0; i < n && !any; ++i) {
      any = std::hypot(a[i][0] - b[j][0], a[i][1] - b[j][1]) <= radius[static_cast<std::size_t>(i)];
    }
    inside += any ? 1 : 0;
  }
  const at::Tensor radii = neighbour_radii(real, k, 0, n);
  for (std::int64_t i = 0; i < n; i += 7)
    EXPECT_NEAR(radii[i].item<double>(), radius[static_cast<std::size_t>(i)], 1e-14);
  EXPECT_EQ(count_inside(generated, real, radii), inside);
  EXPECT_GT(inside, n / 2);
  EXPECT_LT(inside, n);
}

TEST(PrecisionRecall, RefusesBadInput) {
  const at::Tensor x = standard_normal(5, 2, 8);
  EXPECT_THROW(precision_recall(x, x, 5), Error);
  EXPECT_THROW(precision_recall(x, x, 0), Error);
  EXPECT_THROW(neighbour_radii(x, 2, 3, 3), Error);
  EXPECT_THROW(neighbour_radii(x, 2, -1, 2), Error);
  EXPECT_THROW(count_inside(standard_normal(5, 3, 8), x, neighbour_radii(x, 1, 0, 5)), Error);
  EXPECT_THROW(count_inside(x, x, neighbour_radii(x, 1, 0, 4)), Error);
  at::Tensor bad = x.clone();
  bad[4][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(precision_recall(x, bad), Error);
  EXPECT_THROW(precision_recall(bad, x), Error);
}

FeatureRows rows_of(const at::Tensor& features) {
  FeatureSums sums(features.size(1));
  sums.add(features);
  return {.moments = sums.moments(), .features = features};
}

// [n, dim] with mean 0 and covariance I, to rounding.
at::Tensor whitened(std::int64_t n, std::int64_t dim, std::uint32_t item) {
  const at::Tensor x = standard_normal(n, dim, item).to(at::kDouble);
  const Moments m = rows_of(x).moments;
  const auto [values, vectors] = at::linalg_eigh(m.covariance);
  return at::matmul(x - m.mean, vectors / values.sqrt());
}

template <std::size_t kScore>
results::Score measured(const FeatureRows& real, const FeatureRows& posterior, const FeatureRows& images) {
  comm::SingleCommunicator comm;
  return measure<kScore>({real, posterior, images, 3, 1, comm});
}

// Posterior N(0, I), a prior that draws N(m, s^2 I): |m|^2 + F (s - 1)^2, whatever the data are.
TEST(Posterior, AShiftedPriorHasTheClosedForm) {
  const std::int64_t dim = 6;
  const FeatureRows posterior = rows_of(whitened(500, dim, 21)), real = rows_of(standard_normal(500, dim, 22) * 3.0f);
  const FeatureRows images = rows_of(whitened(500, dim, 23) * 1.5 + 0.25);
  const double truth = dim * (0.25 * 0.25 + 0.5 * 0.5);
  EXPECT_NEAR(measured<results::score("fd_posterior")>(real, posterior, images).value, truth, 1e-9);
  const results::Score kid = measured<results::score("kid_posterior")>(real, posterior, images);
  EXPECT_EQ(kid.value, kernel_distance(posterior.features, images.features, {.key = {1, 0, Purpose::kSubset}}).value);
  const PrecisionRecall shares = precision_recall(posterior.features, images.features);
  EXPECT_EQ(measured<results::score("precision_posterior")>(real, posterior, images).value, shares.precision);
  EXPECT_EQ(measured<results::score("recall_posterior")>(real, posterior, images).value, shares.recall);
  EXPECT_LT(shares.precision, shares.recall) << "the wider set holds the narrower one";
}

// Two sets of n from N(0, I_F): 2 F / n from the means and, to first order, F (F + 1) / (2 n) from
// the covariances. Over 20 pairs of sets the mean is within 10 %; KID is 0 within its error.
TEST(Posterior, DrawsAgainstOtherDrawsAreAtTheFloor) {
  const std::int64_t n = 2000, dim = 8;
  const double floor = 2.0 * dim / n + dim * (dim + 1) / (2.0 * n);
  double mean = 0;
  for (std::uint32_t pair = 0; pair < 20; ++pair) {
    const FeatureRows reference = rows_of(standard_normal(n, dim, 100 + 2 * pair)),
                      draws = rows_of(standard_normal(n, dim, 101 + 2 * pair));
    const double fd = measured<results::score("fd_posterior")>(draws, reference, draws).value;
    EXPECT_GT(fd, 0.5 * floor);
    EXPECT_LT(fd, 2.0 * floor);
    mean += fd / 20;
    if (pair > 2) continue;
    const results::Score kid = measured<results::score("kid_posterior")>(draws, reference, draws);
    EXPECT_LT(std::abs(kid.value), 5 * kid.error);
    EXPECT_GT(measured<results::score("precision_posterior")>(draws, reference, draws).value, 0.8);
    EXPECT_GT(measured<results::score("recall_posterior")>(draws, reference, draws).value, 0.8);
  }
  EXPECT_NEAR(mean, floor, 0.1 * floor);
}

}  // namespace
}  // namespace hebm::evaluate
