#include "train/monitors.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include "base/error.h"
#include "comm/single_communicator.h"
#include "nets/device.h"

namespace hebm::train {
namespace {

double at(Recorder& sums, std::size_t field, std::size_t t) {
  comm::SingleCommunicator comm;
  std::vector<double> more;
  sums.reduce(comm, more);
  return sums.at(field, t);
}

TEST(Recorder, AddEachRowAtItsLevel) {
  Recorder sums(2, 3, at::kCPU);
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{2, 0, 2, 0}, at::kCPU));
  sums.add_rows(0, nets::on_device(std::vector<float>{1, 10, 100, 1000}, at::kCPU));
  sums.add_rows(1, nets::on_device(std::vector<double>{0.5, 0, 0, 0.25}, at::kCPU));
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{1}, at::kCPU));
  sums.add_rows(0, nets::on_device(std::vector<float>{7}, at::kCPU));
  EXPECT_EQ(at(sums, 0, 0), 1010);
  EXPECT_EQ(at(sums, 0, 1), 7);
  EXPECT_EQ(at(sums, 0, 2), 101);
  EXPECT_EQ(at(sums, 1, 0), 0.25);
  EXPECT_EQ(at(sums, 1, 1), 0);
  EXPECT_EQ(at(sums, 1, 2), 0.5);
  sums.add(1, 0.125);  // at t = 0
  sums.add(1, nets::on_device(std::vector<float>{3}, at::kCPU).select(0, 0));
  EXPECT_EQ(at(sums, 1, 0), 3.375);
  sums.zero();
  for (std::size_t t = 0; t < 3; ++t) EXPECT_EQ(at(sums, 1, t), 0);
}

TEST(Recorder, WhatIsNotFiniteStaysAtItsLevel) {
  Recorder sums(1, 3, at::kCPU);
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{0, 1, 2}, at::kCPU));
  sums.add_rows(
      0, nets::on_device(std::vector<float>{1, std::nanf(""), std::numeric_limits<float>::infinity()}, at::kCPU));
  EXPECT_EQ(at(sums, 0, 0), 1);
  EXPECT_TRUE(std::isnan(at(sums, 0, 1)));
  EXPECT_TRUE(std::isinf(at(sums, 0, 2)));
}

const std::vector<double> kCounts = {10, 10};

TEST(Divergence, NoticesWhatIsNotFiniteFromTheFirstUpdate) {
  DivergenceMonitor monitor(2);
  EXPECT_EQ(monitor.observe(0, {0.1, -0.2}, kCounts), "");
  EXPECT_NE(monitor.observe(1, {0.1, std::nan("")}, kCounts).find("t = 1"), std::string::npos);
  EXPECT_NE(
      monitor.observe(1, {std::numeric_limits<double>::infinity(), 0.0}, kCounts).find("t = 0"), std::string::npos);
}

TEST(Divergence, JudgesEachLevelByItsOwnMedianAfterTheStart) {
  DivergenceMonitor monitor(2, 50.0, 200);
  for (int update = 0; update < 200; ++update)
    EXPECT_EQ(monitor.observe(update, {update % 2 == 0 ? 1.0 : -1.0, 100.0}, kCounts), "");
  EXPECT_EQ(monitor.observe(200, {49.0, 100.0}, kCounts), "");
  EXPECT_NE(monitor.observe(201, {-51.0, 100.0}, kCounts).find("t = 0"), std::string::npos);
  EXPECT_EQ(monitor.observe(202, {1.0, 4999.0}, kCounts), "");
  EXPECT_EQ(DivergenceMonitor(2).observe(10, {1e6, 1.0}, kCounts), "") << "not judged before update 200";
}

// A gap that doubles every 20 updates: its median of 101 follows at a fiftieth or more, but leaves
// behind what it was.
TEST(Divergence, NoticesASlowOneByItsMedian) {
  DivergenceMonitor monitor(1, 50.0, 200);
  const auto gap = [](int update) {
    return update < 300 ? 2.0 : std::min(400.0, 2.0 * std::pow(2.0, (update - 300) / 20.0));
  };
  int noticed = -1;
  for (int update = 0; update < 800 && noticed < 0; ++update) {
    const std::string wrong = monitor.observe(update, {update % 2 == 0 ? gap(update) : -gap(update)}, {5});
    if (wrong.empty()) continue;
    noticed = update;
    EXPECT_NE(wrong.find("t = 0: the median of the last 101 energy gaps is"), std::string::npos) << wrong;
  }
  // 50 times the lowest, 100, is passed at update 300 + 20 log2(50) = 413, and by the median half a
  // window later.
  EXPECT_EQ(noticed, 413 + 50);
  // Growth that is not that of a divergence is none.
  DivergenceMonitor healthy(1, 50.0, 200);
  for (int update = 0; update < 800; ++update)
    EXPECT_EQ(healthy.observe(update, {0.2 + 0.01 * update}, {5}), "") << update;
}

TEST(Divergence, TakesTheStateOfEarlierVersions) {
  DivergenceMonitor monitor(1, 50.0, 0);
  monitor.restore({std::vector<double>(20, 1.0)});
  EXPECT_EQ(monitor.observe(1, {49.0}, {5}), "");
  EXPECT_NE(monitor.observe(2, {51.0}, {5}), "");
}

TEST(Divergence, IgnoresLevelsWithoutImages) {
  DivergenceMonitor monitor(2);
  EXPECT_EQ(monitor.observe(0, {0.0, std::nan("")}, {10, 0}), "");
}

TEST(Divergence, RestoredMonitorDecidesTheSame) {
  DivergenceMonitor a(1), b(1);
  for (int update = 0; update < 300; ++update) a.observe(update, {0.1 + 0.001 * update}, {5});
  b.restore(nlohmann::json::parse(a.state().dump()));
  EXPECT_EQ(a.state(), b.state());
  EXPECT_EQ(a.observe(300, {17.0}, {5}), b.observe(300, {17.0}, {5}));
  EXPECT_NE(b.observe(301, {19.0}, {5}), "");
}

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
