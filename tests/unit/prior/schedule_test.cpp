// The schedule against the table of docs/method.md, its invariants, and the noisy pair's moments.
#include "prior/schedule.h"
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>
#include "base/error.h"
#include "prior/forward_pair.h"

namespace hebm::prior {
namespace {

// The table has 6 significant digits.
void expect_close(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 6e-6 * std::max(1.0, expected[i])) << i;
}

TEST(Schedule, MatchesThePublishedTableForThreeSteps) {
  const Schedule s = make_schedule(3);
  expect_close(s.alpha, {.99995, .722132, .386265, .022776});
  expect_close(s.sigma, {.01, .691755, .922388, .999741});
  expect_close(s.sigma_cum, {.01, .691793, .960314, .99998});
  const double expected[] = {.4785, 58.8577, 95.9816};
  for (std::int64_t t = 0; t < 3; ++t) EXPECT_NEAR(s.step_variance(t, 1.0), expected[t], 1e-4 * expected[t]);
}

TEST(Schedule, MatchesThePublishedTableForSixSteps) {
  const Schedule s = make_schedule(6);
  expect_close(s.alpha, {.99995, .946167, .85629, .774796, .700918, .633956, .022776});
  expect_close(s.sigma, {.01, .32368, .516495, .632211, .713242, .773369, .999741});
  expect_close(s.sigma_cum, {.01, .323818, .586219, .778453, .898013, .960314, .99998});
  const double expected[] = {.1048, 8.6384, 23.4306, 39.601, 53.7101, 95.9816};
  for (std::int64_t t = 0; t < 6; ++t) EXPECT_NEAR(s.step_variance(t, 1.0), expected[t], 5e-4 * expected[t]);
}

TEST(Schedule, KeepsVarianceForEveryT) {
  for (const std::int64_t levels : {1, 2, 3, 5, 7, 501}) {
    const Schedule s = make_schedule(levels);
    ASSERT_EQ(s.alpha.size(), static_cast<std::size_t>(levels) + 1);
    double product = 1.0;
    for (std::size_t j = 0; j < s.alpha.size(); ++j) {
      product *= s.alpha[j];
      EXPECT_NEAR(s.alpha[j] * s.alpha[j] + s.sigma[j] * s.sigma[j], 1.0, 1e-14);
      EXPECT_NEAR(s.alpha_cum[j], product, 1e-14);
      EXPECT_NEAR(s.alpha_cum[j] * s.alpha_cum[j] + s.sigma_cum[j] * s.sigma_cum[j], 1.0, 1e-14);
    }
    for (std::int64_t t = 0; t < levels; ++t) EXPECT_EQ(s.kernel_weight(t), t == levels - 1 ? 0.0 : 1.0);
  }
}

TEST(Schedule, OneStepIsTheMarginalModel) {
  const Schedule s = make_schedule(1);
  EXPECT_EQ(s.kernel_weight(0), 0.0);
  EXPECT_NEAR(s.step_variance(0, 1.0), 0.99996, 2e-5);  // 96 times smaller than the last level of T = 3
}

TEST(Schedule, RefusesWhatIsOutOfRange) {
  EXPECT_THROW(make_schedule(0), Error);
  EXPECT_THROW(make_schedule(502), Error);
  EXPECT_THROW(make_schedule(std::vector<double>{0.9}), Error);
  EXPECT_THROW(make_schedule(std::vector<double>{0.9, 0.95}), Error);
  EXPECT_THROW(make_schedule(std::vector<double>{1.0, 0.5}), Error);
  ScheduleOptions options;
  options.alpha_cum = {0.9, 0.1};
  EXPECT_THROW(options.make(), Error);  // T = 3 wants four numbers
  options.num_levels = 1;
  EXPECT_EQ(options.make().num_levels, 1);
}

TEST(NoisyPair, HasTheMomentsOfTheForwardKernels) {
  const Schedule s = make_schedule(3);
  constexpr std::int64_t kCount = 300, kDim = 1000;
  const at::Tensor u0 = at::zeros({kCount, kDim}, at::kFloat).fill_(2.0);
  ChainIds ids{{}, {}, 5};
  std::vector<std::int64_t> levels;
  for (std::uint32_t b = 0; b < kCount; ++b) {
    ids.item.push_back(b);
    ids.visit.push_back(7);
    levels.push_back(b % 3);
  }
  const NoisyPair pair = make_pair(Chains(ids, levels, at::kCPU), u0, s);
  for (std::size_t t = 0; t < 3; ++t) {
    double sum = 0, squares = 0, cross = 0, next_sum = 0;
    const double n = kCount / 3 * kDim;
    for (std::int64_t b = static_cast<std::int64_t>(t); b < kCount; b += 3) {
      for (std::int64_t e = 0; e < kDim; ++e) {
        const double noise = pair.u_t.const_data_ptr<float>()[b * kDim + e] - 2.0 * s.alpha_cum[t];
        const double next = pair.u_next.const_data_ptr<float>()[b * kDim + e] -
                            s.alpha[t + 1] * pair.u_t.const_data_ptr<float>()[b * kDim + e];
        sum += noise;
        squares += noise * noise;
        next_sum += next * next;
        cross += noise * next;
      }
    }
    const double five_sigma = 5.0 / std::sqrt(n);
    EXPECT_NEAR(sum / n, 0.0, s.sigma_cum[t] * five_sigma);
    EXPECT_NEAR(
        squares / n, s.sigma_cum[t] * s.sigma_cum[t], s.sigma_cum[t] * s.sigma_cum[t] * std::sqrt(2.0) * five_sigma);
    EXPECT_NEAR(
        next_sum / n, s.sigma[t + 1] * s.sigma[t + 1], s.sigma[t + 1] * s.sigma[t + 1] * std::sqrt(2.0) * five_sigma);
    EXPECT_NEAR(cross / n, 0.0, s.sigma_cum[t] * s.sigma[t + 1] * five_sigma);
  }
}

TEST(NoisyPair, DoesNotDependOnTheBatch) {
  const Schedule s = make_schedule(3);
  const at::Tensor u0 = at::zeros({2, 50}, at::kFloat);
  const NoisyPair both = make_pair(Chains({{8, 9}, {0, 3}, 1, 0}, {0, 2}, at::kCPU), u0, s);
  const NoisyPair alone = make_pair(Chains({{9}, {3}, 1, 0}, 2, at::kCPU), u0.narrow(0, 1, 1), s);
  EXPECT_TRUE(both.u_next.narrow(0, 1, 1).equal(alone.u_next));
  EXPECT_FALSE(make_pair(Chains({{8, 9}, {0, 3}, 1, 1}, {0, 2}, at::kCPU), u0, s).u_t.equal(both.u_t))
      << "attempt is part of the key";
}

TEST(Levels, AreUniformAndEveryMicroBatchOnceInT) {
  const Schedule s = make_schedule(3);
  constexpr std::uint32_t kCount = 30000;
  ChainIds ids = chain_ids(3, 0, kCount);
  ids.visit.assign(kCount, 1);
  double counts[3] = {0, 0, 0};
  for (const auto t : draw_levels(s, ids)) counts[t] += 1;
  const double five_sigma = 5.0 * std::sqrt(kCount * (1.0 / 3) * (2.0 / 3));
  for (const double c : counts) EXPECT_NEAR(c, kCount / 3.0, five_sigma);
  for (std::int64_t update = 0; update < 20; ++update) {
    int seen[3] = {0, 0, 0};
    for (std::int64_t batch = 0; batch < 6; ++batch) ++seen[level_of_batch(s, 3, 0, update, batch, 6)];
    for (const int n : seen) EXPECT_EQ(n, 2);
  }
}

// V micro-batches for T levels: an update of V >= T has all of them, and T updates in a row have
// every level V times, whatever V is.
TEST(Levels, AreBalancedOverUpdatesWhereTheMicroBatchesAreNoMultiple) {
  for (const std::int64_t levels : {3, 6}) {
    const Schedule s = make_schedule(levels);
    for (const std::int64_t count : {1, 2, 4, 7, 8}) {
      if (count % levels == 0) continue;
      for (std::int64_t cycle = 0; cycle < 4; ++cycle) {
        std::vector<std::int64_t> seen(static_cast<std::size_t>(levels), 0);
        for (std::int64_t update = levels * cycle; update < levels * (cycle + 1); ++update) {
          std::set<std::int64_t> of_update;
          for (std::int64_t batch = 0; batch < count; ++batch) {
            const std::int64_t t = level_of_batch(s, 3, 0, update, batch, count);
            ++seen.at(static_cast<std::size_t>(t));
            of_update.insert(t);
          }
          EXPECT_EQ(std::ssize(of_update), std::min(count, levels)) << count << " of " << levels;
        }
        for (const std::int64_t n : seen) EXPECT_EQ(n, count) << count << " of " << levels;
      }
    }
  }
}

}  // namespace
}  // namespace hebm::prior
