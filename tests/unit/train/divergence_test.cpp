#include "train/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hebm::train {
namespace {

const std::vector<double> kCounts = {10, 10};

TEST(Divergence, NoticesWhatIsNotFiniteFromTheFirstUpdate) {
  DivergenceMonitor monitor(2);
  EXPECT_EQ(monitor.observe(0, {0.1, -0.2}, kCounts), "");
  EXPECT_NE(monitor.observe(1, {0.1, std::nan("")}, kCounts).find("t = 1"), std::string::npos);
  EXPECT_NE(monitor.observe(1, {std::numeric_limits<double>::infinity(), 0.0}, kCounts).find("t = 0"),
            std::string::npos);
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
