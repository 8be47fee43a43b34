#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include "report/svg_plot.h"

namespace hebm::report {
namespace {

using nlohmann::json;

std::vector<std::string> names(const LinePlot& plot) {
  std::vector<std::string> out;
  for (const Series& s : plot.series) out.push_back(s.name);
  return out;
}

TEST(Curves, TagsWithOneStemAreOnePlot) {
  const std::vector<json> metrics = {
      {{"step", 1}, {"time_s", 1e9}, {"loss", 3.0}, {"gap/t0", 1.0}, {"gap/t10", 2.0}, {"gap/t2", 3.0}},
      {{"step", 2}, {"time_s", 1e9}, {"loss", 2.0}, {"gap/t0", nullptr}, {"gap/t2", 4.0}},
  };
  const auto plots = plots_of(metrics);
  ASSERT_EQ(plots.size(), 2u);
  EXPECT_EQ(plots[0].title, "Loss");
  EXPECT_EQ(plots[0].series[0].y, (std::vector<double>{3.0, 2.0}));
  EXPECT_THAT(names(plots[1]), ::testing::ElementsAre("t = 0", "t = 2", "t = 10"));
  EXPECT_EQ(plots[1].series[0].x, (std::vector<double>{1, 2}));
  EXPECT_TRUE(std::isnan(plots[1].series[0].y[1]));
  EXPECT_EQ(plots[1].series[2].x, (std::vector<double>{1}));
}

TEST(Curves, TwoPartIndices) {
  const auto plots = plots_of({{{"step", 1}, {"gradient_norm/level1.layer2.", 1.0}, {"positive/layer3/t1", 2.0}}});
  ASSERT_EQ(plots.size(), 2u);
  EXPECT_EQ(plots[0].title, "Gradient norm");
  EXPECT_THAT(names(plots[0]), ::testing::ElementsAre("level 1, layer 2"));
  EXPECT_EQ(plots[1].title, "Positive, layer 3");
}

TEST(Curves, TitlesHaveUnits) {
  EXPECT_EQ(plot_title("save_time_s"), "Save time (s)");
  EXPECT_EQ(plot_title("allreduce_gb_per_s"), "Allreduce (GB/s)");
  EXPECT_EQ(plot_title("tokens_per_s"), "Tokens (a second)");
  EXPECT_EQ(plot_title("seconds/update"), "Time of an update (s)");
  EXPECT_EQ(plot_title("a/b_c"), "A, b c");
  EXPECT_EQ(plot_title(""), "");
}

TEST(Curves, LinesThatAreNotMetricsAreSkipped) {
  EXPECT_TRUE(plots_of(
      {json::array(), json(3), {{"loss", 1.0}}, {{"step", "x"}, {"loss", 1.0}}, {{"step", 1}, {"note", "text"}}})
                  .empty());
}

}  // namespace
}  // namespace hebm::report
