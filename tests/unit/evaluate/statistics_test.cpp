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

// The definition, in two passes.
at::Tensor direct_covariance(const at::Tensor& features) {
  const at::Tensor x = features.to(at::kDouble);
  const at::Tensor centred = x - x.mean(0, true);
  return centred.t().matmul(centred) / static_cast<double>(x.size(0) - 1);
}

TEST(FeatureSums, EqualsTheDefinition) {
  const at::Tensor x = standard_normal(20000, 5, 1) + 2.0f;  // more than one internal chunk
  FeatureSums sums(5);
  sums.add(x);
  const Moments m = sums.moments();
  EXPECT_EQ(m.count, 20000);
  EXPECT_LT(max_abs(m.mean - x.to(at::kDouble).mean(0)), 1e-12);
  EXPECT_LT(max_abs(m.covariance - direct_covariance(x)), 1e-11);
  EXPECT_EQ(max_abs(m.covariance - m.covariance.t()), 0.0);
}

TEST(FeatureSums, HandComputed) {
  FeatureSums sums(2);
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

TEST(FeatureSums, PartsAreTheWholeButForRounding) {
  const at::Tensor x = standard_normal(1200, 8, 3) * 3.0f + 1.0f;
  FeatureSums whole(8), parts(8), again(8);
  whole.add(x);
  for (std::int64_t i = 0; i < x.size(0); i += 50) {
    parts.add(x.narrow(0, i, 50));
    again.add(x.narrow(0, i, 50));
  }
  const Moments a = whole.moments(), b = parts.moments(), c = again.moments();
  EXPECT_EQ(a.count, b.count);
  EXPECT_LT(max_abs(a.mean - b.mean), 1e-12 * max_abs(a.mean));
  EXPECT_LT(max_abs(a.covariance - b.covariance), 1e-12 * max_abs(a.covariance));
  EXPECT_TRUE(b.covariance.equal(c.covariance)) << "the same chunks in the same order: the same bits";
}

TEST(FeatureSums, CopiesAreApart) {
  std::vector<FeatureSums> sums(2, FeatureSums(4));
  sums[0].add(standard_normal(64, 4, 4));
  sums[1].add(standard_normal(64, 4, 5));
  FeatureSums second(4);
  second.add(standard_normal(64, 4, 5));
  EXPECT_TRUE(sums[1].moments().covariance.equal(second.moments().covariance));
}

TEST(FeatureSums, EmptyAddIsNothing) {
  FeatureSums sums(3);
  sums.add(at::empty({0, 3}, at::kFloat));
  EXPECT_EQ(sums.count(), 0);
}

TEST(FeatureSums, RefusesWhatIsNotFeatures) {
  FeatureSums sums(3);
  at::Tensor x = standard_normal(4, 3, 5);
  sums.add(x);
  const Moments before = sums.moments();
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
  EXPECT_TRUE(sums.moments().covariance.equal(before.covariance));
  EXPECT_EQ(sums.count(), before.count);
  EXPECT_THROW(FeatureSums(0), Error);
  EXPECT_THROW(FeatureSums(1 << 20), Error);
}

TEST(FeatureSums, RefusesBrokenSums) {
  FeatureSums one(2);
  one.add(standard_normal(1, 2, 6));
  EXPECT_THROW(one.moments(), Error);
  FeatureSums overflown(2);
  overflown.add(at::full({8, 2}, 1e200, at::kDouble));
  EXPECT_THROW(overflown.moments(), Error);
}

}  // namespace
}  // namespace hebm::evaluate
