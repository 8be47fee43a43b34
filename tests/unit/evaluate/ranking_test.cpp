// AUROC, AUPR and FPR at a given TPR against brute force on scores with many ties, closed forms,
// and the bootstrap's interval against the statistic's known spread.
#include "evaluate/ranking.h"
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>
#include "base/error.h"

namespace hebm::evaluate {
namespace {

using Scores = std::vector<double>;

// Whole numbers 0 .. bound - 1 plus `shift`.
Scores tied_scores(std::size_t count, std::uint32_t bound, double shift, std::uint32_t visit) {
  Scores out;
  for (std::uint32_t i = 0; i < count; ++i)
    out.push_back(shift + draw_below(bound, {5, 0, Purpose::kTest}, {.item = i, .visit = visit}));
  return out;
}

Scores normal_scores(std::size_t count, double mean, std::uint32_t visit) {
  std::vector<float> n(count);
  fill_normal(n, {6, 0, Purpose::kTest}, {.visit = visit});
  Scores out;
  for (const float value : n) out.push_back(mean + value);
  return out;
}

double share(const Scores& scores, double threshold) {
  return static_cast<double>(std::count_if(scores.begin(), scores.end(), [&](double s) { return s >= threshold; })) /
         static_cast<double>(scores.size());
}

// The definitions, threshold by threshold and pair by pair.
double auroc_by_pairs(const Scores& negative, const Scores& positive) {
  double won = 0;
  for (const double p : positive) {
    for (const double n : negative) won += p > n ? 1.0 : p == n ? 0.5 : 0.0;
  }
  return won / static_cast<double>(negative.size() * positive.size());
}

std::vector<double> thresholds(const Scores& negative, const Scores& positive) {  // falling
  std::set<double, std::greater<>> all(negative.begin(), negative.end());
  all.insert(positive.begin(), positive.end());
  return {all.begin(), all.end()};
}

double aupr_by_thresholds(const Scores& negative, const Scores& positive) {
  double sum = 0, recall = 0;
  for (const double threshold : thresholds(negative, positive)) {
    const double tp = share(positive, threshold) * static_cast<double>(positive.size());
    const double fp = share(negative, threshold) * static_cast<double>(negative.size());
    sum += (share(positive, threshold) - recall) * tp / (tp + fp);
    recall = share(positive, threshold);
  }
  return sum;
}

double fpr_by_thresholds(const Scores& negative, const Scores& positive, double tpr) {
  for (const double threshold : thresholds(negative, positive)) {
    if (share(positive, threshold) >= tpr - 1e-9) return share(negative, threshold);
  }
  return 1.0;
}

TEST(Ranking, EqualsBruteForceWithManyTies) {
  for (const std::uint32_t bound : {1u, 2u, 3u, 7u, 50u, 100000u}) {
    for (const double shift : {-3.0, 0.0, 1.0, 2.0, 100.0}) {
      const Scores negative = tied_scores(83, bound, 0.0, bound), positive = tied_scores(47, bound, shift, bound + 1);
      SCOPED_TRACE(testing::Message() << bound << " values, shift " << shift);
      EXPECT_NEAR(auroc(negative, positive), auroc_by_pairs(negative, positive), 1e-13);
      EXPECT_NEAR(aupr(negative, positive), aupr_by_thresholds(negative, positive), 1e-13);
      for (const double tpr : {0.01, 0.5, 0.95, 1.0}) {
        EXPECT_NEAR(fpr_at_tpr(negative, positive, tpr), fpr_by_thresholds(negative, positive, tpr), 1e-13) << tpr;
      }
    }
  }
}

TEST(Ranking, ClosedForms) {
  const Scores low = {1, 2, 3}, high = {4, 5, 6, 7};
  EXPECT_EQ(auroc(low, high), 1.0);
  EXPECT_EQ(auroc(high, low), 0.0);
  EXPECT_EQ(aupr(low, high), 1.0);
  EXPECT_EQ(fpr_at_tpr(low, high, 0.95), 0.0);
  EXPECT_EQ(fpr_at_tpr(high, low, 0.95), 1.0);
  // All positives last: precision at positive j of m behind n negatives is j / (n + j).
  EXPECT_NEAR(aupr(high, low), (1.0 / 5 + 2.0 / 6 + 3.0 / 7) / 3, 1e-15);
  // All equal: one threshold takes all.
  const Scores same = {2, 2, 2, 2, 2};
  EXPECT_EQ(auroc(same, same), 0.5);
  EXPECT_EQ(aupr({same.data(), 3}, {same.data(), 5}), 5.0 / 8);
  EXPECT_EQ(fpr_at_tpr(same, same, 0.95), 1.0);
  // Of four pairs three are won and one is tied.
  EXPECT_EQ(auroc(Scores{0, 1}, Scores{1, 2}), 3.5 / 4);
  // A threshold that reaches 95 % exactly: 19 of 20, and one negative above it.
  Scores positive(20, 10.0), negative(20, 0.0);
  positive[0] = -5.0;
  negative[3] = 11.0;
  EXPECT_EQ(fpr_at_tpr(negative, positive, 0.95), 1.0 / 20);
  EXPECT_EQ(fpr_at_tpr(negative, positive, 0.951), 1.0);
}

// N(0, 1) against N(d, 1): AUROC = Phi(d / sqrt(2)); the standard deviation of the estimate with n
// = m = 4000 is below 0.006 (Hanley and McNeil 1982), so 5 of them are 0.03.
TEST(Ranking, TwoNormalsHaveTheAurocOfTheirDistance) {
  for (const double d : {0.0, 0.5, 1.0, 3.0}) {
    EXPECT_NEAR(auroc(normal_scores(4000, 0, 1), normal_scores(4000, d, 2)), 0.5 * std::erfc(-d / 2.0), 0.03) << d;
  }
}

TEST(Ranking, DoesNotDependOnOrderOrOnTheScale) {
  const Scores negative = normal_scores(200, 0, 3), positive = normal_scores(150, 0.7, 4);
  Scores a(negative.rbegin(), negative.rend()), b(positive.rbegin(), positive.rend());
  for (double& s : a) s = std::exp(s);
  for (double& s : b) s = std::exp(s);
  EXPECT_EQ(auroc(a, b), auroc(negative, positive));
  EXPECT_EQ(aupr(a, b), aupr(negative, positive));
  EXPECT_EQ(fpr_at_tpr(a, b, 0.95), fpr_at_tpr(negative, positive, 0.95));
}

// For equal distributions the statistic has the standard deviation sqrt((n + m + 1) / (12 n m)); a
// 95 % interval is 3.92 of them wide. The bootstrap estimates that from one sample: within 25 % at
// n = m = 300 and 2,000 resamples.
TEST(Bootstrap, HasTheStatisticsOwnSpreadAndHoldsTheEstimate) {
  const Scores negative = normal_scores(300, 0, 5), positive = normal_scores(300, 0, 6);
  const Interval interval = bootstrap_auroc(negative, positive, 2000, 0.95, {1, 0, Purpose::kTest});
  const double estimate = auroc(negative, positive), spread = std::sqrt(601.0 / (12.0 * 300 * 300));
  EXPECT_LT(interval.low, estimate);
  EXPECT_GT(interval.high, estimate);
  EXPECT_NEAR((interval.high - interval.low) / (3.92 * spread), 1.0, 0.25);
  const Interval again = bootstrap_auroc(negative, positive, 2000, 0.95, {1, 0, Purpose::kTest});
  EXPECT_EQ(again.low, interval.low);
  EXPECT_EQ(again.high, interval.high);
  EXPECT_NE(bootstrap_auroc(negative, positive, 2000, 0.95, {2, 0, Purpose::kTest}).low, interval.low);
}

TEST(Bootstrap, IsAPointWhereNothingVaries) {
  const Scores low = {1, 2, 3}, high = {4, 5};
  const Interval apart = bootstrap_auroc(low, high, 100, 0.95, {1, 0, Purpose::kTest});
  EXPECT_EQ(apart.low, 1.0);
  EXPECT_EQ(apart.high, 1.0);
}

// Two positives about one negative: resamples are 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4 (each
// +-0.01 here), so the middle 40 % are all 1/2 and the middle 60 % reach both ends.
TEST(Bootstrap, TakesTheMiddleOfTheResamples) {
  const Interval narrow = bootstrap_auroc(Scores{0}, Scores{-1, 1}, 2000, 0.4, {1, 0, Purpose::kTest});
  EXPECT_EQ(narrow.low, 0.5);
  EXPECT_EQ(narrow.high, 0.5);
  const Interval wide = bootstrap_auroc(Scores{0}, Scores{-1, 1}, 2000, 0.6, {1, 0, Purpose::kTest});
  EXPECT_EQ(wide.low, 0.0);
  EXPECT_EQ(wide.high, 1.0);
}

TEST(Ranking, RefusesWhatIsNoScore) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  EXPECT_THROW(auroc(Scores{}, Scores{1}), Error);
  EXPECT_THROW(aupr(Scores{1}, Scores{}), Error);
  EXPECT_THROW(auroc(Scores{1, nan}, Scores{1}), Error);
  EXPECT_THROW(fpr_at_tpr(Scores{1}, Scores{inf}, 0.95), Error);
  EXPECT_THROW(fpr_at_tpr(Scores{1}, Scores{2}, 0.0), Error);
  EXPECT_THROW(bootstrap_auroc(Scores{1}, Scores{2}, 0, 0.95, {}), Error);
  EXPECT_THROW(sorted_quantile(Scores{}, 0.5), Error);
}

TEST(Quantile, IsLinearBetweenNeighbours) {
  const Scores values = {0, 10, 20, 40};
  EXPECT_EQ(sorted_quantile(values, 0.0), 0);
  EXPECT_EQ(sorted_quantile(values, 1.0), 40);
  EXPECT_NEAR(sorted_quantile(values, 0.5), 15, 1e-12);
  EXPECT_NEAR(sorted_quantile(values, 5.0 / 6), 30, 1e-12);
}

}  // namespace
}  // namespace hebm::evaluate
