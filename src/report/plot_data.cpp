// What is drawn: smoothing, thinning and the shown range. svg_plot.cpp draws it.
#include <algorithm>
#include <cmath>
#include <limits>
#include "report/svg_plot.h"

namespace hebm::report {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Widens [low, high] by 4 %, also when it is a single value.
std::pair<double, double> padded(double low, double high, bool log_scale) {
  if (log_scale) {
    const double factor = std::max(std::pow(high / low, 0.04), 1.05);
    return {low / factor, high * factor};
  }
  double margin = 0.04 * (high - low);
  if (!(margin > 1e-12 * std::max(std::abs(low), std::abs(high)))) margin = std::max(0.05 * std::abs(high), 1e-12);
  return {low - margin, high + margin};
}

}  // namespace

std::vector<double> smoothed(const std::vector<double>& y, double window) {
  const double keep = 1.0 - 2.0 / (std::max(window, 1.0) + 1.0);
  std::vector<double> out(y.size(), kNan);
  double sum = 0, weight = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!drawable(y[i])) continue;
    sum = keep * sum + (1 - keep) * y[i];
    weight = keep * weight + (1 - keep);
    out[i] = sum / weight;
  }
  return out;
}

std::vector<std::size_t> thinned(const std::vector<double>& y, std::size_t max_points) {
  std::vector<std::size_t> out;
  if (y.size() <= max_points) {
    for (std::size_t i = 0; i < y.size(); ++i) out.push_back(i);
    return out;
  }
  const std::size_t buckets = std::max<std::size_t>(1, max_points / 3);
  for (std::size_t b = 0; b < buckets; ++b) {
    const std::size_t begin = b * y.size() / buckets, end = (b + 1) * y.size() / buckets;
    std::size_t low = end, high = end, gap = end;
    for (std::size_t i = begin; i < end; ++i) {
      if (!drawable(y[i])) {
        gap = std::min(gap, i);
        continue;
      }
      if (low == end || y[i] < y[low]) low = i;
      if (high == end || y[i] > y[high]) high = i;
    }
    std::vector<std::size_t> picked = {low, high, gap};
    std::sort(picked.begin(), picked.end());
    picked.erase(std::unique(picked.begin(), picked.end()), picked.end());
    for (const std::size_t i : picked) {
      if (i != end) out.push_back(i);
    }
  }
  return out;
}

std::pair<double, double> shown_range(const std::vector<Series>& series, bool log_scale, bool whole) {
  std::vector<double> all, late;  // late: without the first tenth, where a run starts up
  for (const Series& s : series) {
    for (std::size_t i = 0; i < s.y.size(); ++i) {
      if (!drawable(s.y[i], log_scale)) continue;
      all.push_back(s.y[i]);
      if (i * 10 >= s.y.size()) late.push_back(s.y[i]);
    }
  }
  if (all.empty()) return {log_scale ? 1.0 : 0.0, log_scale ? 10.0 : 1.0};
  const auto [lowest, highest] = std::minmax_element(all.begin(), all.end());
  if (log_scale || whole || late.size() < 20) return padded(*lowest, *highest, log_scale);
  std::sort(late.begin(), late.end());
  const std::size_t cut = late.size() / 100;
  const double low = late[cut], high = late[late.size() - 1 - cut];
  const bool flattened = (high - low) > 0 && (*highest - *lowest) > 4 * (high - low);
  if (!flattened) return padded(*lowest, *highest, false);
  const double margin = 0.25 * (high - low);
  return {
      std::max(low - margin, *lowest - 0.04 * (high - low)), std::min(high + margin, *highest + 0.04 * (high - low))};
}

}  // namespace hebm::report
