#include "train/micro_batches.h"
#include <gtest/gtest.h>
#include <algorithm>

namespace hebm::train {
namespace {

// 24 images in micro-batches of 4, 8 an update, dealt to two ranks: three updates are an epoch.
TEST(WorkImages, AnEpochOfAllRanksHasEveryImageOnce) {
  std::vector<std::int64_t> list, seen;
  for (std::int64_t i = 0; i < 24; ++i) list.push_back(100 + i);
  for (const int rank : {0, 1}) {
    const MicroBatches batches(8, 4, rank, 2, "test");
    const WorkImages images(list, batches, 5);
    for (std::int64_t update = 3; update < 6; ++update) {
      const auto rows = images.of({{update, 9, 0}, batches.first, batches.last});
      ASSERT_EQ(rows.images.size(), 4U);
      EXPECT_EQ(rows.epochs, std::vector<std::uint32_t>(4, 1));
      for (std::size_t b = 0; b < 4; ++b) EXPECT_EQ(rows.images[b], 100 + rows.positions[b]);
      seen.insert(seen.end(), rows.images.begin(), rows.images.end());
    }
  }
  std::ranges::sort(seen);
  EXPECT_EQ(seen, list);
}

TEST(WorkImages, SeveralMicroBatchesAreThoseOfEach) {
  const MicroBatches batches(8, 2, 0, 1, "test");
  const WorkImages images(
      50, [](std::int64_t position) { return 3 * position; }, batches, 5);
  const Update update{7, 9, 0};
  std::vector<std::int64_t> one_by_one;
  for (std::int64_t m = 1; m < 4; ++m) {
    const auto rows = images.of({update, m, m + 1});
    one_by_one.insert(one_by_one.end(), rows.images.begin(), rows.images.end());
  }
  EXPECT_EQ(images.of({update, 1, 4}).images, one_by_one);
  EXPECT_EQ(one_by_one.size(), 6U);
}

}  // namespace
}  // namespace hebm::train
