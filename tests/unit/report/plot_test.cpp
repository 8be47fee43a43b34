#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include "report/svg_plot.h"

namespace hebm::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<std::string> labels(const std::vector<Tick>& ticks) {
  std::vector<std::string> out;
  for (const Tick& tick : ticks) out.push_back(tick.label);
  return out;
}

TEST(LinearTicks, RoundNumbers) {
  EXPECT_THAT(labels(linear_ticks(0, 1, 5)), ElementsAre("0", "0.2", "0.4", "0.6", "0.8", "1.0"));
  EXPECT_THAT(labels(linear_ticks(-13, 12, 5)), ElementsAre("-10", "-5", "0", "5", "10"));
  EXPECT_THAT(labels(linear_ticks(0, 60000, 5)), ElementsAre("0", "20k", "40k", "60k"));
  EXPECT_THAT(labels(linear_ticks(0, 2345, 5)), ElementsAre("0", "500", "1000", "1500", "2000"));
  EXPECT_THAT(labels(linear_ticks(0, 2e-5, 5)), ElementsAre("0", "5e-06", "1e-05", "1.5e-05", "2e-05"));
}

// Whatever the range: inside it, ascending, not too few or too many, all labels different.
TEST(LinearTicks, AnyRange) {
  for (const double low : {-1e6, -37.2, -1e-5, 0.0, 3e-7, 1.0, 12018.0}) {
    for (const double span : {1e-6, 0.013, 1.0, 7.77, 999.0, 5e5, 1e8}) {
      if (span < 1e-9 * std::abs(low)) continue;
      const auto ticks = linear_ticks(low, low + span, 5);
      ASSERT_GE(ticks.size(), 2u) << low << " " << span;
      EXPECT_LE(ticks.size(), 11u) << low << " " << span;
      for (std::size_t i = 0; i < ticks.size(); ++i) {
        EXPECT_GE(ticks[i].value, low - 1e-6 * span);
        EXPECT_LE(ticks[i].value, low + span * (1 + 1e-6));
        if (i > 0) {
          EXPECT_GT(ticks[i].value, ticks[i - 1].value);
        }
      }
    }
  }
}

TEST(LinearTicks, LabelsTellTicksApart) {
  for (const auto& [low, high] : {std::pair{10000.0, 10500.0}, {0.9, 0.95}, {1e9, 3e9}, {9.99e5, 1.001e6}}) {
    auto all = labels(linear_ticks(low, high, 5));
    const std::size_t count = all.size();
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    EXPECT_EQ(all.size(), count) << low;
  }
}

TEST(LogTicks, PowersOfTen) {
  EXPECT_THAT(labels(log_ticks(0.05, 20000)), ElementsAre("0.1", "1", "10", "100", "1000", "10000"));
  EXPECT_THAT(labels(log_ticks(1, 30)), ElementsAre("1", "2", "5", "10", "20"));
  EXPECT_LE(log_ticks(1e-12, 1e12).size(), 9u);
}

TEST(Smoothed, BiasCorrectedAndSkipsGaps) {
  EXPECT_THAT(
      smoothed({4, 4, 4}, 10), ElementsAre(::testing::DoubleEq(4), ::testing::DoubleEq(4), ::testing::DoubleEq(4)));
  // window 3: weight 1/2 for the newest; bias-corrected (2/4 + 4/2) / (3/4)
  const auto y = smoothed({2, kNan, 4}, 3);
  EXPECT_DOUBLE_EQ(y[0], 2);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_DOUBLE_EQ(y[2], (0.5 * 2 * 0.5 + 0.5 * 4) / 0.75);
  EXPECT_THAT(smoothed({1, 5, 2}, 1), ElementsAre(1, 5, 2));
}

TEST(Thinned, KeepsSpikesAndStaysBelowTheLimit) {
  std::vector<double> y(50000);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = std::sin(static_cast<double>(i));
  y[12345] = 99;
  y[23456] = -99;
  y[34567] = kNan;
  const auto index = thinned(y, 600);
  EXPECT_LE(index.size(), 600u);
  EXPECT_GE(index.size(), 300u);
  EXPECT_TRUE(std::is_sorted(index.begin(), index.end()));
  for (const std::size_t i : {12345u, 23456u, 34567u}) EXPECT_THAT(index, ::testing::Contains(i));
  EXPECT_EQ(thinned({1, 2, 3}, 600).size(), 3u);
}

Series ramp(std::size_t n, double scale) {
  Series s{"ramp", {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    s.x.push_back(static_cast<double>(i));
    s.y.push_back(scale * static_cast<double>(i % 10));
  }
  return s;
}

TEST(ShownRange, HoldsAllUnlessAFewFlattenTheRest) {
  auto [low, high] = shown_range({ramp(200, 1.0)}, false);
  EXPECT_LT(low, 0);
  EXPECT_GT(low, -1);
  EXPECT_GT(high, 9);
  EXPECT_LT(high, 10);
  Series spike = ramp(200, 1.0);
  spike.y[0] = 12018;
  std::tie(low, high) = shown_range({spike}, false);
  EXPECT_GT(high, 9);
  EXPECT_LT(high, 20);
  EXPECT_GT(shown_range({spike}, false, true).second, 12018) << "all of it where all is asked for";
  std::tie(low, high) = shown_range({Series{"constant", {1, 2}, {3, 3}}}, false);
  EXPECT_LT(low, 3);
  EXPECT_GT(high, 3);
}

TEST(LinePlot, DrawsAxesLegendAndLines) {
  const std::string svg = line_plot_svg({.title = "Energy <gap>", .series = {ramp(100, 1.0), ramp(100, 2.0)}});
  EXPECT_THAT(svg, HasSubstr("Energy &lt;gap&gt;"));
  EXPECT_THAT(svg, HasSubstr("var(--c1)"));
  EXPECT_THAT(svg, HasSubstr("class=\"raw\""));
  EXPECT_THAT(svg, HasSubstr(">update</text>"));
}

TEST(LinePlot, GapsBreakTheLineAndAreCounted) {
  Series s{"a", {0, 1, 2, 3, 4}, {1, 2, kNan, std::numeric_limits<double>::infinity(), 5}};
  const std::string svg = line_plot_svg({.title = "x", .series = {s}});
  EXPECT_THAT(svg, HasSubstr("2 not finite"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_THAT(svg, HasSubstr("h0"));  // the last point stands alone and is a dot
  const auto start = svg.find("class=\"line\"", svg.find("translate("));
  const std::string drawn = svg.substr(start, svg.find("</path>", start) - start);
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 'M'), 2) << drawn;
}

TEST(LinePlot, NothingFiniteIsNoPlot) {
  EXPECT_EQ(line_plot_svg({.title = "x", .series = {}}), "");
  EXPECT_EQ(line_plot_svg({.title = "x", .series = {Series{"a", {0, 1}, {kNan, kNan}}}}), "");
}

TEST(LinePlot, LogScaleLeavesOutWhatIsNotPositive) {
  Series s{"a", {0, 1, 2, 3}, {1000, 1, -1, 0}};
  const std::string svg = line_plot_svg({.title = "x", .scale = Scale::kLog, .series = {s}});
  EXPECT_THAT(svg, HasSubstr("x, log scale"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(LinePlot, ExtremesStayFinite) {
  const double big = std::numeric_limits<double>::max();
  for (const Series& s :
      {Series{"a", {0, 1}, {big, -big}}, Series{"b", {0, big}, {1e-320, 1}}, Series{"c", {5}, {0}}}) {
    for (const Scale scale : {Scale::kLinear, Scale::kLog, Scale::kAuto}) {
      const std::string svg = line_plot_svg({.title = "x", .scale = scale, .series = {s}});
      EXPECT_THAT(svg, Not(HasSubstr("nan"))) << s.name;
      EXPECT_THAT(svg, Not(HasSubstr("inf"))) << s.name;
      EXPECT_LT(svg.size(), 5000u) << s.name;
    }
  }
}

TEST(LinePlot, LongSeriesStaySmall) {
  EXPECT_LT(line_plot_svg({.title = "x", .series = {ramp(100000, 1.0)}}).size(), 20000u);
}

TEST(LinePlot, ThirtyLayersHaveThirtyColours) {
  std::vector<Series> layers(30, ramp(5, 1.0));
  const std::string svg = line_plot_svg({.title = "x", .series = layers});
  EXPECT_THAT(svg, HasSubstr("hsl("));
  EXPECT_THAT(svg, Not(HasSubstr("var(--c8)")));
}

}  // namespace
}  // namespace hebm::report
