#include "evaluate/frechet.h"
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
    const FrechetDistance d = frechet_distance(m, m);
    EXPECT_EQ(d.mean_part, 0.0);
    EXPECT_LT(d.covariance_part, 1e-13 * m.covariance.trace().item<double>() * static_cast<double>(dim)) << dim;
  }
}

TEST(Frechet, OneDimension) {  // (m1 - m2)^2 + (s1 - s2)^2
  const FrechetDistance d = frechet_distance(
      moments(vector({1.5}), at::full({1, 1}, 4.0, kDouble)), moments(vector({-0.5}), at::full({1, 1}, 0.25, kDouble)));
  EXPECT_DOUBLE_EQ(d.mean_part, 4.0);
  EXPECT_NEAR(d.covariance_part, 2.25, 1e-14);
  EXPECT_NEAR(d.total(), 6.25, 1e-14);
}

TEST(Frechet, DiagonalCovariances) {  // sum of (s1 - s2)^2
  const at::Tensor s1 = vector({1.0, 2.0, 0.5, 3.0}), s2 = vector({0.1, 2.0, 4.0, 1.0});
  const FrechetDistance d = frechet_distance(centred(at::diag(s1.square())), centred(at::diag(s2.square())));
  EXPECT_NEAR(d.covariance_part, 0.81 + 0.0 + 12.25 + 4.0, 1e-12);
}

TEST(Frechet, CommutingMatricesInARotatedFrame) {
  const std::int64_t dim = 24;
  const at::Tensor q = rotation(dim, 2);
  const at::Tensor s1 = standard_normal(1, dim, 3).flatten().to(at::kDouble).abs() + 0.1;
  const at::Tensor s2 = standard_normal(1, dim, 4).flatten().to(at::kDouble).abs() + 0.1;
  const FrechetDistance d =
      frechet_distance(centred(rotated(at::diag(s1.square()), q)), centred(rotated(at::diag(s2.square()), q)));
  EXPECT_NEAR(d.covariance_part, (s1 - s2).square().sum().item<double>(), 1e-12 * static_cast<double>(dim));
}

// 2 x 2, not commuting: tr((C1 C2)^1/2) = sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)).
TEST(Frechet, TwoByTwoThatDoNotCommute) {
  const at::Tensor a = vector({2.0, 0.6, 0.6, 1.0}).reshape({2, 2}), b = vector({0.5, -0.3, -0.3, 3.0}).reshape({2, 2});
  const double product = a.matmul(b).trace().item<double>(), det_a = 2.0 - 0.36, det_b = 1.5 - 0.09;
  const double truth = 3.0 + 3.5 - 2.0 * std::sqrt(product + 2.0 * std::sqrt(det_a * det_b));
  EXPECT_NEAR(frechet_distance(centred(a), centred(b)).covariance_part, truth, 1e-14 * 10);
}

TEST(Frechet, SymmetricAndInvariantUnderRotation) {
  FeatureSums x(12), y(12);
  x.add(standard_normal(50, 12, 5) * 2.0f);
  y.add(standard_normal(60, 12, 6).matmul(rotation(12, 7).to(at::kFloat)) + 0.3f);
  const Moments a = x.moments(), b = y.moments();
  const double d = frechet_distance(a, b).total();
  EXPECT_GT(d, 1.0);
  EXPECT_NEAR(frechet_distance(b, a).total(), d, 1e-12 * d);
  const at::Tensor q = rotation(12, 8);
  const Moments ra = moments(q.matmul(a.mean), rotated(a.covariance, q));
  const Moments rb = moments(q.matmul(b.mean), rotated(b.covariance, q));
  EXPECT_NEAR(frechet_distance(ra, rb).total(), d, 1e-12 * d);
  const Moments a4 = moments(a.mean * 2, a.covariance * 4), b4 = moments(b.mean * 2, b.covariance * 4);
  EXPECT_NEAR(frechet_distance(a4, b4).total(), 4 * d, 1e-11 * d);  // homogeneous of degree 2
}

// Rank 1 against full rank, rotated so that the null space is only 0 up to rounding:
// tr((C1^1/2 I C1^1/2)^1/2) = sqrt(4).
TEST(Frechet, RankDeficientCovariances) {
  const std::int64_t dim = 16;
  at::Tensor one = at::zeros({dim, dim}, kDouble);
  one[0][0] = 4.0;
  const at::Tensor rank_one = rotated(one, rotation(dim, 9));
  EXPECT_NEAR(
      frechet_distance(centred(rank_one), centred(at::eye(dim, kDouble))).covariance_part, 4.0 + 16.0 - 4.0, 1e-12);
  EXPECT_NEAR(frechet_distance(centred(rank_one), centred(rank_one)).covariance_part, 0.0, 1e-12);
  const at::Tensor nothing = at::zeros({dim, dim}, kDouble);
  EXPECT_NEAR(frechet_distance(centred(rank_one), centred(nothing)).covariance_part, 4.0, 1e-12);
  EXPECT_EQ(frechet_distance(centred(nothing), centred(nothing)).total(), 0.0);
  FeatureSums few(64);  // 10 vectors of 64 features: rank 9
  few.add(standard_normal(10, 64, 10));
  const Moments m = few.moments();
  EXPECT_LT(frechet_distance(m, m).total(), 1e-12 * m.covariance.trace().item<double>());
}

// 20 sets of 20,000 from N(0, I) and N(mu, I): the expectation is |mu|^2 plus a bias of order F^2 /
// n.
TEST(Frechet, SampledSetsComeNearTheTruth) {
  FeatureSums x(4), y(4);
  x.add(standard_normal(20000, 4, 11));
  y.add(standard_normal(20000, 4, 12) + 1.0f);
  EXPECT_NEAR(frechet_distance(x.moments(), y.moments()).total(), 4.0, 6 * 2 * 2.0 * std::sqrt(2.0 / 20000));
}

TEST(Frechet, TinyNegativeEigenvaluesAreRoundingLargerOnesAreErrors) {
  const at::Tensor q = rotation(3, 13);
  const at::Tensor tiny = rotated(at::diag(vector({1.0, 0.5, -1e-12})), q);
  EXPECT_NEAR(frechet_distance(centred(tiny), centred(tiny)).covariance_part, 0.0, 1e-11);
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
