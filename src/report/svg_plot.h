// Line plots as inline SVG, no scripts: faint raw line under its exponential moving average, ticks
// at round numbers, a legend with the last value. Colours are the page's CSS variables --c0 .. --c7
// (html.cpp), so they follow light, dark and print.
#pragma once
#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace hebm::report {

struct Series {
  std::string name;
  std::vector<double> x, y;  // equal lengths, x ascending; what is not drawable() is a gap
};

// Finite, with room for differences: a diverged run records anything.
inline bool drawable(double value, bool log_scale = false) {
  return std::abs(value) < 1e150 && (!log_scale || value > 1e-150);
}

enum class Scale { kLinear, kLog, kAuto };  // kAuto: log where all values are positive and span a factor of 50

struct LinePlot {
  std::string title;  // with the unit
  std::string x_label = "update";
  Scale scale = Scale::kAuto;
  bool smooth = true;
  bool over_time = true;  // last values in the legend; a start-up and spikes may leave the frame
  std::vector<Series> series;
};

bool has_points(const LinePlot& plot);
// Empty string where no series has a finite point.
std::string line_plot_svg(const LinePlot& plot);

// Bias-corrected exponential moving average with weight 2 / (window + 1) for the newest value; gaps
// stay gaps.
std::vector<double> smoothed(const std::vector<double>& y, double window);

// At most max_points indices of y, ascending: the lowest and highest of each bucket, so that spikes
// stay, and each bucket's first gap. All indices where there are few.
std::vector<std::size_t> thinned(const std::vector<double>& y, std::size_t max_points);

// The part of the y axis that is worth showing: all of it where `whole`, or unless a few values
// (first updates, spikes) would flatten the rest. Both ends finite, low < high; positive on a log
// scale.
std::pair<double, double> shown_range(const std::vector<Series>& series, bool log_scale, bool whole = false);

// Metrics of a part as line plots: tags "gap/t0", "gap/t1" are one plot "gap" with a line each.

// All scalars of metrics.jsonl, the well-known ones first. A tag's last component of letters and
// digits ("t0", "level1.layer2.") names the line, the rest the plot. null, NaN and text are gaps.
// Lines without an integer "step" are skipped.
std::vector<LinePlot> plots_of(const std::vector<nlohmann::json>& metrics);

// "chain_time_s" -> "Chain time (s)", "kl" -> "KL by layer (nats an image)".
std::string plot_title(const std::string& group);

// Places and labels of axis ticks, at round numbers.
struct Tick {
  double value = 0;
  std::string label;
};

// Multiples of 1, 2 or 5 times a power of ten inside [low, high], about `target` of them (from
// target / 2 to 2 * target + 1); low < high, both finite.
std::vector<Tick> linear_ticks(double low, double high, int target);

// For a logarithmic axis, 0 < low < high: powers of ten (thinned when many), with 2 and 5 times
// them when few.
std::vector<Tick> log_ticks(double low, double high);

}  // namespace hebm::report
