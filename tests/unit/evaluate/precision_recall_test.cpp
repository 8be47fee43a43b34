#include "evaluate/precision_recall.h"
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include "base/error.h"
#include "feature_sets.h"

namespace hebm::evaluate {
namespace {

using testing::standard_normal;

at::Tensor line(std::initializer_list<double> values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kDouble)).unsqueeze(1);
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

}  // namespace
}  // namespace hebm::evaluate
