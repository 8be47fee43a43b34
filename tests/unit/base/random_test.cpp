// Streams of random.h: distribution, independence, limits, and the keyed permutation. Seeds are
// fixed, so a p-value is the same in every run; thresholds say how unlikely a correct generator
// would be to fail when the seed was chosen.
#include "base/random.h"
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <vector>
#include "../support.h"

namespace hebm {
namespace {

constexpr RandomKey kKey{42, 0, Purpose::kTest};

std::vector<float> normals(std::size_t n, const RandomKey& key, const RandomCounter& counter, std::uint32_t first = 0) {
  std::vector<float> out(n);
  fill_normal(out, key, counter, first);
  return out;
}

// p-value of the Kolmogorov-Smirnov statistic (asymptotic series with Stephens' small-sample
// correction).
double ks_p_value(std::vector<float> x, const std::function<double(double)>& cdf) {
  std::sort(x.begin(), x.end());
  const double n = static_cast<double>(x.size());
  double d = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double f = cdf(x[i]);
    d = std::max({d, f - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - f});
  }
  const double lambda = (std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n)) * d;
  double p = 0;
  for (int j = 1; j < 100; ++j) p += 2 * (j % 2 ? 1 : -1) * std::exp(-2 * j * j * lambda * lambda);
  return std::clamp(p, 0.0, 1.0);
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

double correlation(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum / static_cast<double>(a.size());
}

TEST(Random, NormalsPassKolmogorovSmirnov) {
  for (std::uint32_t item : {0u, 1u, 59999u}) {
    EXPECT_GT(ks_p_value(normals(100000, kKey, {.item = item}), normal_cdf), 0.01) << item;
  }
}

TEST(Random, UniformsPassKolmogorovSmirnov) {
  std::vector<float> x(100000);
  fill_uniform(x, kKey, {.item = 3});
  EXPECT_GT(ks_p_value(x, [](double v) { return v; }), 0.01);
  EXPECT_GE(*std::min_element(x.begin(), x.end()), 0.0f);
  EXPECT_LT(*std::max_element(x.begin(), x.end()), 1.0f);
}

// Standard errors of the sample moments 1..4 of N(0, 1): 1, sqrt(2), sqrt(15), sqrt(96) over
// sqrt(n); 4 of them.
TEST(Random, NormalMoments) {
  const std::size_t n = 4000000;
  const std::vector<float> x = normals(n, kKey, {.item = 8, .visit = 1});
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
  for (double v : x) m1 += v, m2 += v * v, m3 += v * v * v, m4 += v * v * v * v;
  const double root = std::sqrt(static_cast<double>(n)), count = static_cast<double>(n);
  EXPECT_NEAR(m1 / count, 0, 4 / root);
  EXPECT_NEAR(m2 / count, 1, 4 * std::sqrt(2) / root);
  EXPECT_NEAR(m3 / count, 0, 4 * std::sqrt(15) / root);
  EXPECT_NEAR(m4 / count, 3, 4 * std::sqrt(96) / root);
  EXPECT_TRUE(std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v) && std::abs(v) < 6.7f; }));
  EXPECT_GT(*std::max_element(x.begin(), x.end()), 4.5f);  // P(none of 4e6 above 4.5) = 1e-6
}

TEST(Random, SplitCallsAgreeWhereTheyOverlap) {
  const std::vector<float> whole = normals(1000, kKey, {.item = 1, .layer = 2});
  std::vector<float> whole_uniform(1000), part_uniform(1000);
  fill_uniform(whole_uniform, kKey, {.item = 1, .layer = 2});
  for (std::uint32_t first : {0u, 1u, 2u, 3u, 4u, 5u, 63u, 64u, 65u, 127u, 500u}) {
    for (std::size_t n : {0u, 1u, 2u, 3u, 4u, 5u, 60u, 61u, 63u, 64u, 65u, 128u, 130u, 400u}) {
      const std::vector<float> part = normals(n, kKey, {.item = 1, .layer = 2}, first);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first)) << first << ' ' << n;
      fill_uniform(std::span(part_uniform).first(n), kKey, {.item = 1, .layer = 2}, first);
      EXPECT_TRUE(std::equal(part_uniform.begin(), part_uniform.begin() + n, whole_uniform.begin() + first));
    }
  }
}

TEST(Random, WritesNothingOutsideTheSpan) {
  for (std::size_t n : {1u, 3u, 63u, 64u, 65u, 129u}) {
    std::vector<float> out(n + 8, -77.0f);
    fill_normal(std::span(out).subspan(4, n), kKey, {}, 3);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(out[i], -77.0f);
      EXPECT_EQ(out[n + 4 + i], -77.0f);
    }
  }
}

// 4 standard errors of a sample correlation of independent streams of 65,536.
TEST(Random, NeighbouringStreamsAreUncorrelatedAndDiffer) {
  const std::size_t n = 65536;
  const RandomCounter c{.item = 100, .visit = 7, .t = 3, .k = 20, .layer = 1};
  const std::vector<float> base = normals(n, kKey, c);
  RandomCounter item = c, visit = c, t = c, k = c, layer = c;
  ++item.item, ++visit.visit, ++t.t, ++k.k, ++layer.layer;
  const RandomKey attempt{42, 1, Purpose::kTest}, purpose{42, 0, Purpose::kAugment}, seed{43, 0, Purpose::kTest},
      seed_high{42 + (std::uint64_t{1} << 32), 0, Purpose::kTest};
  std::vector<std::vector<float>> others;
  for (const RandomCounter& other : {item, visit, t, k, layer}) others.push_back(normals(n, kKey, other));
  for (const RandomKey& other : {attempt, purpose, seed, seed_high}) others.push_back(normals(n, other, c));
  others.push_back(normals(n, kKey, c, 1));  // lag one within the stream
  others.push_back(normals(n, kKey, c, 4));  // next Philox call
  for (std::size_t i = 0; i < others.size(); ++i) {
    EXPECT_LT(std::abs(correlation(base, others[i])), 4 / std::sqrt(n)) << i;
    EXPECT_NE(base, others[i]) << i;
  }
}

// Across streams: element 0 of 65,536 items is a sample of its own.
TEST(Random, FirstElementsOverItemsAreNormal) {
  std::vector<float> x(65536);
  for (std::uint32_t i = 0; i < x.size(); ++i) x[i] = normals(1, kKey, {.item = i, .t = 2})[0];
  EXPECT_GT(ks_p_value(x, normal_cdf), 0.01);
}

TEST(Random, LimitsAreChecked) {
  std::vector<float> out(4);
  EXPECT_NO_THROW(fill_normal(out, kKey, {.t = 1023, .k = (1u << 22) - 1, .layer = 255}, (1u << 26) - 4));
  EXPECT_THROW(fill_normal(out, kKey, {.layer = 256}), Error);
  EXPECT_THROW(fill_normal(out, kKey, {.t = 1024}), Error);
  EXPECT_THROW(fill_normal(out, kKey, {.k = 1u << 22}), Error);
  EXPECT_THROW(fill_normal(out, kKey, {}, (1u << 26) - 3), Error);
  EXPECT_THROW(fill_uniform(out, kKey, {}, 0xffffffffu), Error);
  EXPECT_THROW(draw_u32(kKey, {.t = 1024}), Error);
  EXPECT_THROW(draw_below(0, kKey, {}), Error);
  EXPECT_THROW(permute(3, 3, kKey, 0), Error);
  EXPECT_THROW(permute(0, 0, kKey, 0), Error);
  test::expect_error(ExitCode::kRuntime, {"t 2000"}, [&] { fill_normal(out, kKey, {.t = 2000}); });
}

double chi_square(const std::vector<std::int64_t>& counts) {
  double total = 0, sum = 0;
  for (auto c : counts) total += static_cast<double>(c);
  const double expected = total / static_cast<double>(counts.size());
  for (auto c : counts) sum += (static_cast<double>(c) - expected) * (static_cast<double>(c) - expected) / expected;
  return sum;
}

// Wilson and Hilferty: chi-square with `dof` degrees of freedom as a standard normal.
double chi_square_z(double x, double dof) {
  return (std::cbrt(x / dof) - (1 - 2 / (9 * dof))) / std::sqrt(2 / (9 * dof));
}

TEST(Random, DrawBelowIsUniform) {
  for (std::uint32_t bound : {1u, 2u, 3u, 7u, 10u}) {
    std::vector<std::int64_t> counts(bound);
    for (std::uint32_t i = 0; i < 20000; ++i) ++counts.at(draw_below(bound, kKey, {.item = i}));
    if (bound > 1) {
      EXPECT_LT(chi_square_z(chi_square(counts), bound - 1), 3) << bound;
    }
  }
  for (std::uint32_t i = 0; i < 1000; ++i) {  // the top of the range is reached, not passed
    const std::uint32_t word = draw_u32(kKey, {.item = i});
    const std::uint32_t below = draw_below(0xffffffffu, kKey, {.item = i});
    EXPECT_LE(word - below, 1u);
  }
}

TEST(Permute, IsAPermutation) {
  for (std::uint64_t count : {1, 2, 3, 4, 5, 7, 16, 17, 1000, 60000}) {
    std::vector<bool> seen(count, false);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t p = permute(i, count, kKey, 5);
      ASSERT_LT(p, count);
      ASSERT_FALSE(seen[p]) << count << ' ' << i;
      seen[p] = true;
    }
  }
  const std::uint64_t huge = (std::uint64_t{1} << 40) + 3;
  EXPECT_LT(permute(huge - 1, huge, kKey, 0), huge);
  EXPECT_LT(permute(~std::uint64_t{1}, ~std::uint64_t{0}, kKey, 0), ~std::uint64_t{0});
}

TEST(Permute, DependsOnVisitAndKey) {
  std::vector<std::uint64_t> a, b, c, d;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    a.push_back(permute(i, 1000, kKey, 0));
    b.push_back(permute(i, 1000, kKey, 1));
    c.push_back(permute(i, 1000, {42, 1, Purpose::kTest}, 0));
    d.push_back(permute(i, 1000, {43, 0, Purpose::kTest}, 0));
  }
  // Fixed points of two independent permutations are Poisson(1): more than 10 has probability 1e-8.
  for (const auto* other : {&b, &c, &d}) {
    int same = 0;
    for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == (*other)[i];
    EXPECT_LE(same, 10);
  }
}

TEST(Permute, PositionsAreUniformOverVisits) {
  for (std::uint64_t count : {2, 3, 5, 10, 100}) {
    for (std::uint64_t index : {std::uint64_t{0}, count / 2, count - 1}) {
      std::vector<std::int64_t> counts(count);
      for (std::uint32_t visit = 0; visit < 5000; ++visit) ++counts[permute(index, count, kKey, visit)];
      EXPECT_LT(chi_square_z(chi_square(counts), static_cast<double>(count) - 1), 3) << count << ' ' << index;
    }
  }
}

TEST(Permute, AllOrdersOfThreeAreEquallyLikely) {
  std::vector<std::int64_t> counts(6);
  for (std::uint32_t visit = 0; visit < 12000; ++visit) {
    const auto first = permute(0, 3, kKey, visit), second = permute(1, 3, kKey, visit);
    ++counts[2 * first + (second > (3 - first - second) ? 1 : 0)];
  }
  EXPECT_LT(chi_square_z(chi_square(counts), 5), 3);
}

TEST(Permute, NeighboursAreScattered) {
  // Mean |p(i + 1) - p(i)| of a random permutation is (count + 1) / 3, with standard deviation ~
  // count / sqrt(18 count)
  // * 1.3
  const std::uint64_t count = 60000;
  double sum = 0;
  std::uint64_t previous = permute(0, count, kKey, 9);
  for (std::uint64_t i = 1; i < count; ++i) {
    const std::uint64_t next = permute(i, count, kKey, 9);
    sum += std::abs(static_cast<double>(next) - static_cast<double>(previous));
    previous = next;
  }
  EXPECT_NEAR(sum / static_cast<double>(count - 1), static_cast<double>(count + 1) / 3, 400);
}

}  // namespace
}  // namespace hebm
