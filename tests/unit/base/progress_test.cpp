#include "base/progress.h"
#include <gtest/gtest.h>
#include <chrono>
#include <thread>

namespace hebm {
namespace {

TEST(Phase, TheInnermostCountsAndALongOneHasPatience) {
  EXPECT_EQ(Phase::name_now(), "");
  EXPECT_EQ(Phase::silence_now_s(), 60);
  const Phase outer("train");
  EXPECT_EQ(Phase::silence_now_s(), 600);
  {
    const Phase inner("train: saves");
    EXPECT_EQ(Phase::name_now(), "train: saves");
  }
  EXPECT_EQ(Phase::name_now(), "train");
}

TEST(Phase, RoundsSayHowLongToWait) {
  Phase loop("train");
  loop.next("train, update 1");
  EXPECT_EQ(Phase::silence_now_s(), 600) << "how long a round takes is not known yet";
  loop.next("train, update 2");
  EXPECT_EQ(Phase::name_now(), "train, update 2");
  EXPECT_EQ(Phase::silence_now_s(), 60);
  EXPECT_EQ(Phase::silence_s({30, 1, 20}), 100) << "five of the median";
  EXPECT_EQ(Phase::silence_s({3, 900, 2}), 60);
}

TEST(Tick, IsAnsweredOnItsThreadAloneAndNotTooOften) {
  int answered = 0;
  set_on_tick([&] { ++answered; });
  for (int i = 0; i < 1000; ++i) tick();
  EXPECT_EQ(answered, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::thread([] { tick(); }).join();
  EXPECT_EQ(answered, 1);
  tick();
  EXPECT_EQ(answered, 2);
  set_on_tick({});
  tick();
  EXPECT_EQ(answered, 2);
}

}  // namespace
}  // namespace hebm
