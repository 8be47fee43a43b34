#include "train/stragglers.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "base/error.h"

namespace hebm::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<std::string> kHosts = {"n1", "n1", "n2", "n2"};

std::vector<std::string> repeat(StragglerMonitor& monitor, int times, const std::vector<double>& seconds) {
  std::vector<std::string> lines;
  for (int i = 0; i < times; ++i) {
    for (auto& line : monitor.observe(seconds)) lines.push_back(std::move(line));
  }
  return lines;
}

TEST(StragglerMonitor, NamesRankAndHostAfterTwentyUpdatesInARowAndOnlyOnce) {
  StragglerMonitor monitor(kHosts);
  EXPECT_THAT(repeat(monitor, 19, {1.0, 1.1, 0.9, 1.8}), IsEmpty());
  EXPECT_THAT(
      repeat(monitor, 1, {1.0, 1.1, 0.9, 1.8}), ElementsAre(HasSubstr("rank 3 on n2 is slow: 1.8 times the median")));
  EXPECT_THAT(repeat(monitor, 100, {1.0, 1.1, 0.9, 1.8}), IsEmpty());
  EXPECT_EQ(monitor.median_s(), 1.0);
  EXPECT_EQ(monitor.slowest_s(), 1.8);
}

TEST(StragglerMonitor, AnUpdateInTimeBreaksTheRow) {
  StragglerMonitor monitor(kHosts);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(repeat(monitor, 19, {1.0, 1.0, 9.0, 1.0}), IsEmpty());
    EXPECT_THAT(repeat(monitor, 1, {1.0, 1.0, 1.5, 1.0}), IsEmpty());  // 1.5 times is not more than 1.5 times
  }
}

TEST(StragglerMonitor, SaysWhenItIsOverAndMayBeginAgain) {
  StragglerMonitor monitor(kHosts);
  ASSERT_EQ(repeat(monitor, 20, {4.0, 1.0, 1.0, 1.0}).size(), 1U);
  EXPECT_THAT(repeat(monitor, 19, {1.0, 1.0, 1.0, 1.0}), IsEmpty());
  EXPECT_THAT(repeat(monitor, 1, {4.0, 1.0, 1.0, 1.0}), IsEmpty());  // not over yet: the 19 count no more
  EXPECT_THAT(repeat(monitor, 20, {1.0, 1.0, 1.0, 1.0}), ElementsAre(HasSubstr("rank 0 on n1 keeps up again")));
  EXPECT_THAT(repeat(monitor, 20, {4.0, 1.0, 1.0, 1.0}), ElementsAre(HasSubstr("rank 0 on n1 is slow")));
}

TEST(StragglerMonitor, OfTwoRanksTheSlowerIsNamed) {
  StragglerMonitor monitor({"a", "b"});
  EXPECT_THAT(repeat(monitor, 20, {3.0, 1.0}), ElementsAre(HasSubstr("rank 0 on a")));
}

TEST(StragglerMonitor, SeveralAtOnce) {
  StragglerMonitor monitor({"a", "b", "c", "d", "e"});
  EXPECT_THAT(
      repeat(monitor, 20, {3.0, 1.0, 1.0, 1.0, 2.0}), ElementsAre(HasSubstr("rank 0 on a"), HasSubstr("rank 4 on e")));
}

TEST(StragglerMonitor, OneRankIsNeverSlow) {
  StragglerMonitor monitor({"a"});
  EXPECT_THAT(repeat(monitor, 30, {5.0}), IsEmpty());
}

TEST(StragglerMonitor, TimesOfAnotherWorldAreRefused) {
  StragglerMonitor monitor(kHosts);
  EXPECT_THROW(monitor.observe(std::vector<double>{1.0, 1.0}), Error);
}

}  // namespace
}  // namespace hebm::train
