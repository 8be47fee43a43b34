#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include "report/svg_plot.h"

namespace hebm::report {
namespace {

// All labels of an axis alike: as many decimals as the step needs; thousands as k, M, G.
std::string linear_label(double value, double step, double largest) {
  constexpr std::array<std::pair<double, const char*>, 3> kUnits = {{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
  if (value == 0.0) return "0";
  if (largest < 1e-4 || largest >= 1e13) return fmt::format("{:.3g}", value);
  for (const auto& [scale, name] : kUnits) {
    if (largest >= 10 * scale && step >= scale / 10) {
      return fmt::format("{:.{}f}{}", value / scale, step >= scale ? 0 : 1, name);
    }
  }
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  return fmt::format("{:.{}f}", value, decimals);
}

double round_step(double rough) {
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power * (1 + 1e-9)) return factor * power;
  }
  return 10.0 * power;
}

}  // namespace

std::vector<Tick> linear_ticks(double low, double high, int target) {
  const double step = round_step((high - low) / target);
  const double largest = std::max(std::abs(low), std::abs(high));
  const double slack = 1e-9 * (high - low);
  std::vector<Tick> ticks;
  const double first = std::ceil((low - slack) / step), last = std::floor((high + slack) / step);
  if (!(last - first < 1000)) return ticks;  // a span below the rounding of its own ends has no ticks
  for (double i = first; i <= last; ++i) ticks.push_back({i * step, linear_label(i * step, step, largest)});
  return ticks;
}

std::vector<Tick> log_ticks(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  const int last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
  const int decades = last - first;
  const int stride = std::max(1, (decades + 7) / 8);
  const std::vector<double> factors = decades <= 2 ? std::vector<double>{1, 2, 5} : std::vector<double>{1};
  std::vector<Tick> ticks;
  for (int e = first; e <= last; ++e) {
    if (e % stride != 0) continue;
    for (const double factor : factors) {
      const double value = factor * std::pow(10.0, e);
      if (value < low * (1 - 1e-9) || value > high * (1 + 1e-9)) continue;
      ticks.push_back({value, e >= -3 && e <= 4 ? fmt::format("{:g}", value) : fmt::format("{:g}e{}", factor, e)});
    }
  }
  return ticks;
}

}  // namespace hebm::report
