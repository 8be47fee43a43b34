#include "train/divergence.h"
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <limits>

namespace hebm::train {
namespace {

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

}  // namespace
}  // namespace hebm::train
