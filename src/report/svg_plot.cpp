#include "report/svg_plot.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <tuple>
#include "report/page.h"

namespace hebm::report {
namespace {

constexpr double kWidth = 400, kLeft = 52, kRight = 10, kPlotHeight = 168, kBottom = 36, kTitle = 22, kLegendRow = 16;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kCharWidth = 7.0;  // of 12-pixel text, on the safe side
constexpr std::size_t kMaxPoints = 600, kMaxLegend = 12, kPalette = 8, kSmoothFrom = 30;

// Series beyond the palette (30 layers) are a ramp from blue over green to orange, all readable on
// light and dark.
std::string colour(std::size_t i, std::size_t count) {
  if (count <= kPalette) return fmt::format("var(--c{})", i);
  const double at = static_cast<double>(i) / static_cast<double>(count - 1);
  return fmt::format("hsl({:.0f} 65% 48%)", at < 0.5 ? 225 - 130 * at : 160 - 260 * (at - 0.5));
}

struct Axes {
  double x_low = 0, x_high = 1, y_low = 0, y_high = 1;
  bool log = false;
  double x(double v) const { return (v - x_low) / (x_high - x_low) * kPlotWidth; }
  double y(double v) const {
    const double share = log ? std::log(v / y_low) / std::log(y_high / y_low) : (v - y_low) / (y_high - y_low);
    // Far outside is clipped anyway; keep coordinates short and finite.
    return std::clamp((1 - share) * kPlotHeight, -kPlotHeight, 2 * kPlotHeight);
  }
};

bool wants_log(const LinePlot& plot) {
  if (plot.scale != Scale::kAuto) return plot.scale == Scale::kLog;
  std::vector<double> values;
  for (const Series& s : plot.series)
    std::copy_if(s.y.begin(), s.y.end(), std::back_inserter(values), [](double y) { return drawable(y); });
  if (values.empty()) return false;
  std::sort(values.begin(), values.end());
  return drawable(values.front(), true) && values[values.size() * 95 / 100] > 50 * values[values.size() / 20];
}

Axes make_axes(const LinePlot& plot) {
  Axes axes;
  axes.log = wants_log(plot);
  std::tie(axes.y_low, axes.y_high) = shown_range(plot.series, axes.log, !plot.over_time);
  bool first = true;
  for (const Series& s : plot.series) {
    for (const double x : s.x) {
      if (!drawable(x)) continue;
      axes.x_low = first ? x : std::min(axes.x_low, x);
      axes.x_high = first ? x : std::max(axes.x_high, x);
      first = false;
    }
  }
  if (!(axes.x_high > axes.x_low)) {
    axes.x_low -= 0.5;
    axes.x_high = axes.x_low + 1;
  }
  return axes;
}

// Line segments between gaps; a point alone becomes a dot (a line of length 0 with round caps).
std::string path(
    const Series& s, const std::vector<double>& y, const std::vector<std::size_t>& index, const Axes& axes) {
  std::string out;
  bool open = false;
  std::size_t in_segment = 0;
  for (const std::size_t i : index) {
    if (!drawable(y[i], axes.log) || !drawable(s.x[i])) {
      if (open && in_segment == 1) out += "h0";
      open = false;
      continue;
    }
    out += fmt::format("{}{:.1f} {:.1f}", open ? "L" : "M", axes.x(s.x[i]), axes.y(y[i]));
    in_segment = open ? in_segment + 1 : 1;
    open = true;
  }
  if (open && in_segment == 1) out += "h0";
  return out;
}

bool is_smooth(const LinePlot& plot, const Series& s) { return plot.smooth && s.y.size() >= kSmoothFrom; }

// What the strong line shows.
std::vector<double> main_line(const LinePlot& plot, const Series& s) {
  if (!is_smooth(plot, s)) return s.y;
  return smoothed(s.y, std::max(8.0, static_cast<double>(s.y.size()) / 60.0));
}

std::string line_style(const LinePlot& plot, std::size_t i) {
  const bool dashed = plot.series.size() <= kPalette && i >= 4;
  return fmt::format("style=\"stroke:{}\"{}", colour(i, plot.series.size()), dashed ? " stroke-dasharray=\"5 3\"" : "");
}

std::string draw_series(const LinePlot& plot, const Axes& axes) {
  std::string out;
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    const Series& s = plot.series[i];
    if (is_smooth(plot, s)) {
      out += fmt::format("<path class=\"raw\" style=\"stroke:{}\" d=\"{}\"/>", colour(i, plot.series.size()),
          path(s, s.y, thinned(s.y, kMaxPoints), axes));
    }
    const std::vector<double> y = main_line(plot, s);
    out += fmt::format("<path class=\"line\" {} d=\"{}\"><title>{}</title></path>", line_style(plot, i),
        path(s, y, thinned(y, kMaxPoints / 2), axes), escape(s.name));
  }
  return out;
}

std::string draw_grid(const Axes& axes, const std::string& x_label) {
  std::string out;
  const auto y_ticks = axes.log ? log_ticks(axes.y_low, axes.y_high) : linear_ticks(axes.y_low, axes.y_high, 5);
  for (const Tick& tick : y_ticks) {
    const double y = axes.y(tick.value);
    out += fmt::format(
        "<path class=\"grid\" d=\"M0 {0:.1f}h{1}\"/><text x=\"-6\" y=\"{2:.1f}\" text-anchor=\"end\">{3}</text>", y,
        kPlotWidth, y + 4, escape(tick.label));
  }
  for (const Tick& tick : linear_ticks(axes.x_low, axes.x_high, 5)) {
    const double x = axes.x(tick.value);
    const char* anchor = x > kPlotWidth - 8 ? "end" : "middle";
    out +=
        fmt::format("<path class=\"tick\" d=\"M{:.1f} {}v4\"/><text x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
            x, kPlotHeight, x, kPlotHeight + 17, anchor, escape(tick.label));
  }
  out += fmt::format("<path class=\"axis\" d=\"M0 {0}h{1}\"/>", kPlotHeight, kPlotWidth);
  out += fmt::format("<text x=\"{:.0f}\" y=\"{}\" text-anchor=\"middle\" class=\"label\">{}</text>", kPlotWidth / 2,
      kPlotHeight + 32, escape(x_label));
  return out;
}

std::string last_value(const std::vector<double>& y) {
  const auto last = std::find_if(y.rbegin(), y.rend(), [](double v) { return drawable(v); });
  return last == y.rend() ? "-" : format_number(*last);
}

// Rows of "name last-value", as many in a row as fit. Returns the number of rows.
int draw_legend(const LinePlot& plot, std::string& out) {
  const std::size_t count = plot.series.size();
  double x = 0;
  int row = 0;
  for (const std::size_t i : evenly(count, kMaxLegend)) {
    const std::string name = count == 1 && plot.over_time ? "last" : plot.series[i].name;
    const std::string value = plot.over_time ? last_value(main_line(plot, plot.series[i])) : "";
    const double width = 30 + kCharWidth * static_cast<double>(name.size() + 1 + value.size());
    if (x > 0 && x + width > kWidth - 4) {
      x = 0;
      ++row;
    }
    const double y = kTitle + kLegendRow * row;
    out += fmt::format(
        "<path class=\"line\" {} d=\"M{:.0f} {:.0f}h14\"/><text x=\"{:.0f}\" y=\"{:.0f}\">{} "
        "<tspan class=\"value\">{}</tspan></text>",
        line_style(plot, i), x + 4, y + 6, x + 22, y + 10, escape(name), value);
    x += width;
  }
  return row + 1;
}

std::string note(const LinePlot& plot, const Axes& axes) {
  std::size_t outside = 0, missing = 0;
  for (const Series& s : plot.series) {
    for (const double y : s.y) {
      if (!drawable(y)) {
        ++missing;
      } else if (y < axes.y_low || y > axes.y_high) {
        ++outside;
      }
    }
  }
  std::string text;
  if (outside > 0) text += fmt::format("{} outside the frame", outside);
  if (missing > 0) text += fmt::format("{}{} not finite", text.empty() ? "" : ", ", missing);
  if (text.empty()) return {};
  return fmt::format(
      "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" class=\"note\">{}</text>", kPlotWidth, kPlotHeight + 32, text);
}

}  // namespace

bool has_points(const LinePlot& plot) {
  return std::any_of(plot.series.begin(), plot.series.end(),
      [](const Series& s) { return std::any_of(s.y.begin(), s.y.end(), [](double y) { return drawable(y); }); });
}

std::string line_plot_svg(const LinePlot& plot) {
  if (!has_points(plot)) return {};
  const Axes axes = make_axes(plot);
  std::string legend;
  const double top = kTitle + kLegendRow * draw_legend(plot, legend) + 8;
  std::string out = fmt::format("<svg class=\"plot\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\"><title>{}</title>",
      kWidth, top + kPlotHeight + kBottom, escape(plot.title));
  out += fmt::format(
      "<text x=\"4\" y=\"14\" class=\"title\">{}{}</text>", escape(plot.title), axes.log ? ", log scale" : "");
  out += legend + fmt::format("<g transform=\"translate({} {:.0f})\">", kLeft, top) + draw_grid(axes, plot.x_label);
  // An inner svg clips to its frame without an id, which would have to be unique on the page.
  out += fmt::format("<svg width=\"{}\" height=\"{}\">{}</svg>{}</g></svg>\n", kPlotWidth, kPlotHeight,
      draw_series(plot, axes), note(plot, axes));
  return out;
}

}  // namespace hebm::report
