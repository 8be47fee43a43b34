#include "data/prefetch.h"
#include <gtest/gtest.h>
#include <atomic>
#include <chrono>
#include <thread>
#include "support.h"

namespace hebm::data::test {
namespace {

// Two members a step: positions step and step + 1 (mod N), draws 0 and 1.
Prefetcher::Request plan_of(std::int64_t step) {
  return {{step % 13, (step + 1) % 13}, {0, 1}, {}, {static_cast<std::uint32_t>(step), 7}};
}

class PrefetcherTest : public ::testing::Test {
 protected:
  PrefetcherTest() { write_cache(folder_.path(), small_layout()); }
  TempFolder folder_;
};

TEST_F(PrefetcherTest, GivesEveryStepInOrder) {
  const LatentCache cache = LatentCache::open(folder_.path());
  for (const std::size_t depth : {1, 2, 5}) {
    Prefetcher prefetcher(cache, plan_of, 3, 40, depth);
    for (std::int64_t step = 3; step < 40; ++step) {
      const LatentBatch batch = prefetcher.next();
      ASSERT_EQ(batch.count, 2);
      ASSERT_EQ(batch.dim, 6);
      EXPECT_EQ(batch.index, (std::vector<std::int64_t>{image_at(step % 13), image_at((step + 1) % 13)}));
      EXPECT_EQ(batch.visit, (std::vector<std::uint32_t>{static_cast<std::uint32_t>(step), 7}));
      for (std::int64_t e = 0; e < 6; ++e) {
        EXPECT_EQ(batch.u[static_cast<std::size_t>(e)], latent_value(step % 13, 0, e));
        EXPECT_EQ(batch.u[static_cast<std::size_t>(6 + e)], latent_value((step + 1) % 13, 1, e));
      }
    }
    expect_error(ExitCode::kRuntime, {"below 40", "got 40"}, [&] { prefetcher.next(); });
  }
}

TEST_F(PrefetcherTest, ReadsAheadNoFurtherThanItsDepth) {
  const LatentCache cache = LatentCache::open(folder_.path());
  std::atomic<std::int64_t> planned{0};
  Prefetcher prefetcher(
      cache,
      [&](std::int64_t step) {
        ++planned;
        return plan_of(step);
      },
      0, 100, 2);
  while (planned < 3) std::this_thread::yield();  // two ready and one in hand
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(planned, 3);
  const double before = prefetcher.waited_s();
  prefetcher.next();
  EXPECT_EQ(prefetcher.waited_s(), before);  // it was ready
}

TEST_F(PrefetcherTest, MeasuresTheWaiting) {
  const LatentCache cache = LatentCache::open(folder_.path());
  Prefetcher prefetcher(
      cache,
      [&](std::int64_t step) {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        return plan_of(step);
      },
      0, 3, 1);
  for (int i = 0; i < 3; ++i) prefetcher.next();
  EXPECT_GE(prefetcher.waited_s(), 0.06);  // 90 ms of sleep, less what passed before the first call
}

TEST_F(PrefetcherTest, AnErrorComesInItsTurnAndStays) {
  const LatentCache cache = LatentCache::open(folder_.path());
  std::atomic<bool> reached{false};
  Prefetcher prefetcher(
      cache,
      [&](std::int64_t step) {
        reached = step == 2;
        Prefetcher::Request request = plan_of(step);
        if (step == 2) request.positions[1] = 13;
        return request;
      },
      0, 10, 4);
  while (!reached) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the thread has failed by now
  prefetcher.next();
  EXPECT_EQ(prefetcher.next().count, 2);
  for (int i = 0; i < 2; ++i) expect_error(ExitCode::kRuntime, {"position 13"}, [&] { prefetcher.next(); });
  Prefetcher uneven(
      cache,
      [](std::int64_t) {
        return Prefetcher::Request{{0}, {0}, {}, {}};
      },
      0, 1);
  expect_error(ExitCode::kRuntime, {"step 0"}, [&] { uneven.next(); });
}

TEST_F(PrefetcherTest, StopsWhateverItIsDoing) {
  const LatentCache cache = LatentCache::open(folder_.path());
  for (int i = 0; i < 50; ++i) {
    Prefetcher waiting(cache, plan_of, 0, 1000, 2);
    if (i % 3 == 1) waiting.next();
    if (i % 3 == 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Prefetcher none(cache, plan_of, 5, 5);
  expect_error(ExitCode::kRuntime, {"below 5"}, [&] { none.next(); });
  expect_error(ExitCode::kRuntime, {"first step"}, [&] { Prefetcher(cache, plan_of, 6, 5); });
}

}  // namespace
}  // namespace hebm::data::test
