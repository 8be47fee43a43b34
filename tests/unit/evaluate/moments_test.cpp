#include "evaluate/moments.h"
#include <ATen/ops/allclose.h>
#include <ATen/ops/diag.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <cmath>
#include <limits>
#include "base/error.h"
#include "feature_sets.h"

namespace hebm::evaluate {
namespace {

using testing::rotation;
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
  sums.add(standard_normal(2, 3, 4));
  sums.add(at::empty({0, 3}, at::kFloat));
  EXPECT_EQ(sums.moments().count, 2);
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
  EXPECT_EQ(sums.moments().count, before.count);
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

const at::TensorOptions kDouble = at::TensorOptions().dtype(at::kDouble);

Moments moments(const at::Tensor& mean, const at::Tensor& covariance) { return {mean, covariance, 1000}; }
Moments centred(const at::Tensor& covariance) { return moments(at::zeros({covariance.size(0)}, kDouble), covariance); }
at::Tensor vector(std::initializer_list<double> values) { return at::tensor(values, kDouble); }
at::Tensor symmetric(const at::Tensor& c) { return (c + c.t()) * 0.5; }
at::Tensor rotated(const at::Tensor& c, const at::Tensor& q) { return symmetric(q.matmul(c).matmul(q.t())); }

TEST(Frechet, EqualGaussiansAreAtDistanceZero) {
  for (const std::int64_t dim : {1, 2, 17, 128}) {
    FeatureSums sums(dim);
    sums.add(standard_normal(400, dim, 1));
    const Moments m = sums.moments();
    const double d = frechet_distance(m, m);
    EXPECT_LT(d, 1e-13 * m.covariance.trace().item<double>() * static_cast<double>(dim)) << dim;
  }
}

TEST(Frechet, OneDimension) {  // (m1 - m2)^2 + (s1 - s2)^2
  const double d = frechet_distance(
      moments(vector({1.5}), at::full({1, 1}, 4.0, kDouble)), moments(vector({-0.5}), at::full({1, 1}, 0.25, kDouble)));
  EXPECT_NEAR(d, 6.25, 1e-14);
}

TEST(Frechet, DiagonalCovariances) {  // sum of (s1 - s2)^2
  const at::Tensor s1 = vector({1.0, 2.0, 0.5, 3.0}), s2 = vector({0.1, 2.0, 4.0, 1.0});
  const double d = frechet_distance(centred(at::diag(s1.square())), centred(at::diag(s2.square())));
  EXPECT_NEAR(d, 0.81 + 0.0 + 12.25 + 4.0, 1e-12);
}

TEST(Frechet, CommutingMatricesInARotatedFrame) {
  const std::int64_t dim = 24;
  const at::Tensor q = rotation(dim, 2);
  const at::Tensor s1 = standard_normal(1, dim, 3).flatten().to(at::kDouble).abs() + 0.1;
  const at::Tensor s2 = standard_normal(1, dim, 4).flatten().to(at::kDouble).abs() + 0.1;
  const double d =
      frechet_distance(centred(rotated(at::diag(s1.square()), q)), centred(rotated(at::diag(s2.square()), q)));
  EXPECT_NEAR(d, (s1 - s2).square().sum().item<double>(), 1e-12 * static_cast<double>(dim));
}

// 2 x 2, not commuting: tr((C1 C2)^1/2) = sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)).
TEST(Frechet, TwoByTwoThatDoNotCommute) {
  const at::Tensor a = vector({2.0, 0.6, 0.6, 1.0}).reshape({2, 2}), b = vector({0.5, -0.3, -0.3, 3.0}).reshape({2, 2});
  const double product = a.matmul(b).trace().item<double>(), det_a = 2.0 - 0.36, det_b = 1.5 - 0.09;
  const double truth = 3.0 + 3.5 - 2.0 * std::sqrt(product + 2.0 * std::sqrt(det_a * det_b));
  EXPECT_NEAR(frechet_distance(centred(a), centred(b)), truth, 1e-14 * 10);
}

TEST(Frechet, SymmetricAndInvariantUnderRotation) {
  FeatureSums x(12), y(12);
  x.add(standard_normal(50, 12, 5) * 2.0f);
  y.add(standard_normal(60, 12, 6).matmul(rotation(12, 7).to(at::kFloat)) + 0.3f);
  const Moments a = x.moments(), b = y.moments();
  const double d = frechet_distance(a, b);
  EXPECT_GT(d, 1.0);
  EXPECT_NEAR(frechet_distance(b, a), d, 1e-12 * d);
  const at::Tensor q = rotation(12, 8);
  const Moments ra = moments(q.matmul(a.mean), rotated(a.covariance, q));
  const Moments rb = moments(q.matmul(b.mean), rotated(b.covariance, q));
  EXPECT_NEAR(frechet_distance(ra, rb), d, 1e-12 * d);
  const Moments a4 = moments(a.mean * 2, a.covariance * 4), b4 = moments(b.mean * 2, b.covariance * 4);
  EXPECT_NEAR(frechet_distance(a4, b4), 4 * d, 1e-11 * d);  // homogeneous of degree 2
}

// Rank 1 against full rank, rotated so that the null space is only 0 up to rounding:
// tr((C1^1/2 I C1^1/2)^1/2) = sqrt(4).
TEST(Frechet, RankDeficientCovariances) {
  const std::int64_t dim = 16;
  at::Tensor one = at::zeros({dim, dim}, kDouble);
  one[0][0] = 4.0;
  const at::Tensor rank_one = rotated(one, rotation(dim, 9));
  EXPECT_NEAR(frechet_distance(centred(rank_one), centred(at::eye(dim, kDouble))), 4.0 + 16.0 - 4.0, 1e-12);
  EXPECT_NEAR(frechet_distance(centred(rank_one), centred(rank_one)), 0.0, 1e-12);
  const at::Tensor nothing = at::zeros({dim, dim}, kDouble);
  EXPECT_NEAR(frechet_distance(centred(rank_one), centred(nothing)), 4.0, 1e-12);
  EXPECT_EQ(frechet_distance(centred(nothing), centred(nothing)), 0.0);
  FeatureSums few(64);  // 10 vectors of 64 features: rank 9
  few.add(standard_normal(10, 64, 10));
  const Moments m = few.moments();
  EXPECT_LT(frechet_distance(m, m), 1e-12 * m.covariance.trace().item<double>());
}

// 20 sets of 20,000 from N(0, I) and N(mu, I): the expectation is |mu|^2 plus a bias of order F^2 /
// n.
TEST(Frechet, SampledSetsComeNearTheTruth) {
  FeatureSums x(4), y(4);
  x.add(standard_normal(20000, 4, 11));
  y.add(standard_normal(20000, 4, 12) + 1.0f);
  EXPECT_NEAR(frechet_distance(x.moments(), y.moments()), 4.0, 6 * 2 * 2.0 * std::sqrt(2.0 / 20000));
}

TEST(Frechet, TinyNegativeEigenvaluesAreRoundingLargerOnesAreErrors) {
  const at::Tensor q = rotation(3, 13);
  const at::Tensor tiny = rotated(at::diag(vector({1.0, 0.5, -1e-12})), q);
  EXPECT_NEAR(frechet_distance(centred(tiny), centred(tiny)), 0.0, 1e-11);
  const at::Tensor wrong = rotated(at::diag(vector({1.0, 0.5, -1e-7})), q);
  EXPECT_THROW(frechet_distance(centred(wrong), centred(tiny)), Error);
  EXPECT_THROW(frechet_distance(centred(tiny), centred(wrong)), Error);
}

TEST(Frechet, RefusesBrokenMoments) {
  const Moments good = centred(at::eye(3, kDouble));
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, inf}) {
    Moments m = centred(at::eye(3, kDouble));
    m.mean[1] = bad;
    EXPECT_THROW(frechet_distance(good, m), Error);
    m = centred(at::eye(3, kDouble));
    m.covariance[1][2] = bad;
    EXPECT_THROW(frechet_distance(m, good), Error);
  }
  EXPECT_THROW(frechet_distance(good, centred(at::eye(4, kDouble))), Error);
  EXPECT_THROW(frechet_distance(good, moments(at::zeros({4}, kDouble), at::eye(3, kDouble))), Error);
  EXPECT_THROW(frechet_distance(good, moments(at::zeros({3}), at::eye(3))), Error);  // float32
  EXPECT_THROW(frechet_distance(good, Moments{}), Error);
  at::Tensor skew = at::eye(3, kDouble);
  skew[0][1] = 0.1;
  EXPECT_THROW(frechet_distance(good, centred(skew)), Error);
}

}  // namespace
}  // namespace hebm::evaluate
