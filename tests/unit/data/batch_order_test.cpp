#include "data/batch_order.h"
#include <gtest/gtest.h>
#include <set>
#include "support.h"

namespace hebm::data::test {
namespace {

std::vector<std::pair<std::int64_t, std::uint32_t>> pairs(const std::vector<BatchPlace>& places) {
  std::vector<std::pair<std::int64_t, std::uint32_t>> out;
  for (const BatchPlace& place : places) out.emplace_back(place.position, place.visit);
  return out;
}

TEST(BatchOrder, EachVisitHasEachPositionOnce) {
  for (const std::int64_t num_images : {1, 2, 7, 64, 1000})
    for (const std::int64_t batch : {1, 3, 64, 150}) {  // also batches larger than the set
      const BatchOrder order(num_images, batch, 5);
      std::vector<std::set<std::int64_t>> seen(4);
      std::int64_t taken = 0;
      for (std::int64_t step = 0; taken < 4 * num_images; ++step)
        for (const BatchPlace& place : order.members(step, 0, batch)) {
          const std::int64_t visit = taken++ / num_images;
          if (visit >= 4) break;
          ASSERT_EQ(place.visit, visit);
          ASSERT_GE(place.position, 0);
          ASSERT_LT(place.position, num_images);
          EXPECT_TRUE(seen[static_cast<std::size_t>(visit)].insert(place.position).second)
              << place.position << " twice in visit " << visit;
        }
      for (const auto& visit : seen) EXPECT_EQ(std::ssize(visit), num_images);
    }
}

TEST(BatchOrder, AnySplitOverRanksGivesTheSameMembers) {
  const BatchOrder order(1000, 96, 9);
  for (const std::int64_t step : {0, 1, 10, 11, 500}) {
    const auto whole = pairs(order.members(step, 0, 96));
    for (const std::int64_t ranks : {1, 2, 3, 4, 96}) {
      std::vector<std::pair<std::int64_t, std::uint32_t>> joined;
      for (std::int64_t rank = 0; rank < ranks; ++rank) {
        const auto part = pairs(order.members(step, rank * 96 / ranks, 96 / ranks));
        joined.insert(joined.end(), part.begin(), part.end());
      }
      EXPECT_EQ(joined, whole) << ranks << " ranks, step " << step;
    }
    EXPECT_TRUE(order.members(step, 96, 0).empty());
  }
}

TEST(BatchOrder, VisitsAndSeedsDiffer) {
  const BatchOrder order(100, 100, 1), other(100, 100, 2);
  const auto first = pairs(order.members(0, 0, 100));
  const auto second = pairs(order.members(1, 0, 100)), foreign = pairs(other.members(0, 0, 100));
  int same_visit = 0, same_seed = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    same_visit += first[i].first == second[i].first ? 1 : 0;
    same_seed += first[i].first == foreign[i].first ? 1 : 0;
  }
  // Fixed points of a random permutation: Poisson with mean 1; more than 12 has a chance below
  // 1e-10.
  EXPECT_LE(same_visit, 12);
  EXPECT_LE(same_seed, 12);
}

TEST(BatchOrder, StepsBeyondTwoToThe31) {
  const BatchOrder order(10, 4, 3);
  const std::int64_t start = (std::int64_t{1} << 31) + 6;
  std::int64_t p = start * 4;
  ASSERT_EQ(p % 10, 6);
  std::vector<std::set<std::int64_t>> seen(2);
  for (std::int64_t step = start; step < start + 6; ++step)
    for (const BatchPlace& place : order.members(step, 0, 4)) {
      EXPECT_EQ(place.visit, p / 10);
      const std::int64_t visit = p / 10 - (start * 4 / 10 + 1);
      if (visit >= 0 && visit < 2) {
        EXPECT_TRUE(seen[static_cast<std::size_t>(visit)].insert(place.position).second);
      }
      ++p;
    }
  EXPECT_EQ(seen[0].size(), 10u);
  EXPECT_EQ(seen[1].size(), 10u);
}

TEST(BatchOrder, RefusesWhatIsOutOfRange) {
  expect_error(ExitCode::kUsage, {"at least 1 image", "got 0"}, [] { BatchOrder(0, 4, 0); });
  expect_error(ExitCode::kUsage, {"batch", "got 0"}, [] { BatchOrder(4, 0, 0); });
  const BatchOrder order(10, 4, 3);
  expect_error(ExitCode::kRuntime, {"batch of 4", "3 + 2"}, [&] { order.members(0, 3, 2); });
  expect_error(ExitCode::kRuntime, {"step -1"}, [&] { order.members(-1, 0, 1); });
  const std::int64_t last = ((std::int64_t{1} << 32) * 10 - 4) / 4;
  EXPECT_EQ(order.members(last, 3, 1)[0].visit, 0xffffffffu);
  expect_error(ExitCode::kRuntime, {"beyond the last visit"}, [&] { order.members(last + 1, 0, 1); });
  expect_error(ExitCode::kRuntime, {"beyond the last visit"}, [&] { order.members(INT64_MAX / 2, 0, 1); });
}

}  // namespace
}  // namespace hebm::data::test
