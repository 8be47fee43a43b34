#include "evaluate/statistics.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "feature_sets.h"

namespace hebm::evaluate {
namespace {

using testing::standard_normal;

double max_abs(const at::Tensor& t) { return t.abs().max().item<double>(); }

std::vector<double> repeated(std::int64_t dim, double value) {
  return std::vector<double>(static_cast<std::size_t>(dim), value);
}

// The definition, in two passes.
at::Tensor direct_covariance(const at::Tensor& features) {
  const at::Tensor x = features.to(at::kDouble);
  const at::Tensor centred = x - x.mean(0, true);
  return centred.t().matmul(centred) / static_cast<double>(x.size(0) - 1);
}

TEST(FeatureSums, EqualsTheDefinition) {
  const at::Tensor x = standard_normal(20000, 5, 1) + 2.0f;  // more than one internal chunk
  FeatureSums sums = FeatureSums::with_zero_reference(5);
  sums.add(x);
  const Moments m = sums.moments();
  EXPECT_EQ(m.count, 20000);
  EXPECT_LT(max_abs(m.mean - x.to(at::kDouble).mean(0)), 1e-12);
  EXPECT_LT(max_abs(m.covariance - direct_covariance(x)), 1e-11);
  EXPECT_EQ(max_abs(m.covariance - m.covariance.t()), 0.0);
}

TEST(FeatureSums, HandComputed) {
  FeatureSums sums({1.0, -1.0});
  at::Tensor x = at::empty({2, 2}, at::kFloat);
  x[0][0] = 1.0f, x[0][1] = 2.0f, x[1][0] = 3.0f, x[1][1] = 8.0f;
  sums.add(x);
  const Moments m = sums.moments();
  EXPECT_DOUBLE_EQ(m.mean[0].item<double>(), 2.0);
  EXPECT_DOUBLE_EQ(m.mean[1].item<double>(), 5.0);
  EXPECT_DOUBLE_EQ(m.covariance[0][0].item<double>(), 2.0);
  EXPECT_DOUBLE_EQ(m.covariance[0][1].item<double>(), 6.0);
  EXPECT_DOUBLE_EQ(m.covariance[1][1].item<double>(), 18.0);
}

// Mean 1e6 times the deviation: without a reference the second moment loses 1e12 * eps = 2e-4 of
// the variance.
TEST(FeatureSums, ReferenceKeepsSmallVarianceAccurate) {
  const at::Tensor x = standard_normal(4000, 3, 2).to(at::kDouble) + 1e6;
  const at::Tensor truth = direct_covariance(x);
  FeatureSums near(repeated(3, 1e6)), zero = FeatureSums::with_zero_reference(3);
  near.add(x);
  zero.add(x);
  EXPECT_LT(max_abs(near.moments().covariance - truth), 1e-9);  // x itself is rounded to 1e6 * eps = 1e-10
  EXPECT_GT(max_abs(zero.moments().covariance - truth), 1e-6);  // so the test above tests something
  EXPECT_LT(max_abs(near.moments().mean - x.mean(0)), 1e-9);
}

// As ranks do it: each adds its part, the buffers are summed, in any order and any split.
TEST(FeatureSums, SumOverRanksInAnyOrder) {
  const std::int64_t n = 1200, dim = 8;
  const at::Tensor x = standard_normal(n, dim, 3) * 3.0f + 1.0f;
  FeatureSums whole(repeated(dim, 0.9));
  whole.add(x);
  for (const std::int64_t ranks : {2, 3, 4}) {
    for (const bool backwards : {false, true}) {
      std::vector<FeatureSums> parts(static_cast<std::size_t>(ranks), FeatureSums(repeated(dim, 0.9)));
      for (std::int64_t i = 0; i < n; i += 50)
        parts[static_cast<std::size_t>((i / 50) % ranks)].add(x.narrow(0, i, 50));
      FeatureSums total(repeated(dim, 0.9));
      for (std::int64_t r = 0; r < ranks; ++r) {
        const auto part = parts[static_cast<std::size_t>(backwards ? ranks - 1 - r : r)].buffer();
        for (std::size_t i = 0; i < part.size(); ++i) total.buffer()[i] += part[i];
      }
      const Moments a = whole.moments(), b = total.moments();
      EXPECT_EQ(a.count, b.count);
      EXPECT_LT(max_abs(a.mean - b.mean), 1e-12 * max_abs(a.mean)) << ranks;
      EXPECT_LT(max_abs(a.covariance - b.covariance), 1e-12 * max_abs(a.covariance)) << ranks;
    }
  }
}

TEST(FeatureSums, MergeIsAdding) {
  const at::Tensor x = standard_normal(64, 4, 4);
  FeatureSums a(repeated(4, 0.5)), b(repeated(4, 0.5)), both(repeated(4, 0.5));
  a.add(x.narrow(0, 0, 20));
  b.add(x.narrow(0, 20, 44));
  both.add(x);
  a.merge(b);
  EXPECT_EQ(a.count(), 64);
  EXPECT_LT(max_abs(a.moments().covariance - both.moments().covariance), 1e-13);
  EXPECT_THROW(a.merge(FeatureSums::with_zero_reference(4)), Error);
  EXPECT_THROW(a.merge(FeatureSums(repeated(5, 0.5))), Error);
}

TEST(FeatureSums, EmptyAddIsNothing) {
  FeatureSums sums = FeatureSums::with_zero_reference(3);
  sums.add(at::empty({0, 3}, at::kFloat));
  EXPECT_EQ(sums.count(), 0);
}

TEST(FeatureSums, RefusesWhatIsNotFeatures) {
  FeatureSums sums = FeatureSums::with_zero_reference(3);
  at::Tensor x = standard_normal(4, 3, 5);
  sums.add(x);
  const std::vector<double> before(sums.buffer().begin(), sums.buffer().end());
  x[2][1] = std::numeric_limits<float>::quiet_NaN();
  try {
    sums.add(x);
    FAIL() << "NaN was accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("1 of 4"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("number 2"), std::string::npos) << e.what();
  }
  x[2][1] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(sums.add(x), Error);
  EXPECT_THROW(sums.add(standard_normal(4, 2, 5)), Error);
  EXPECT_THROW(sums.add(standard_normal(4, 3, 5).flatten()), Error);
  EXPECT_THROW(sums.add(standard_normal(4, 3, 5).to(at::kLong)), Error);
  EXPECT_THROW(sums.add(at::Tensor()), Error);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), sums.buffer().begin()));
  EXPECT_THROW(FeatureSums({}), Error);
  EXPECT_THROW(FeatureSums({std::numeric_limits<double>::quiet_NaN()}), Error);
  EXPECT_THROW(FeatureSums::with_zero_reference(0), Error);
  EXPECT_THROW(FeatureSums::with_zero_reference(1 << 20), Error);
}

TEST(FeatureSums, RefusesBrokenSums) {
  FeatureSums one = FeatureSums::with_zero_reference(2);
  one.add(standard_normal(1, 2, 6));
  EXPECT_THROW(one.moments(), Error);
  FeatureSums broken = FeatureSums::with_zero_reference(2);
  broken.add(standard_normal(8, 2, 6));
  broken.buffer()[4] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(broken.moments(), Error);
  FeatureSums half = FeatureSums::with_zero_reference(2);
  half.add(standard_normal(8, 2, 6));
  half.buffer()[0] = 7.5;
  EXPECT_THROW(half.moments(), Error);
}

}  // namespace
}  // namespace hebm::evaluate
