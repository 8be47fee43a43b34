// What svg_plot.cpp draws: metrics by plot, smoothing, thinning, the shown range and ticks.
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include "report/page.h"

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

struct Known {
  std::string_view group, title;
  Scale scale = Scale::kAuto;
  bool smooth = true;
};
// In the order in which a reader wants them.
constexpr std::array kKnown = {
    Known{"loss", "Loss"},
    Known{"elbo", "ELBO (nats an image)"},
    Known{"log_likelihood", "log p(x|z) (nats an image)"},
    Known{"kl", "KL by layer (nats an image)"},
    Known{"kl_weight", "Weight of the KL terms", Scale::kLinear, false},
    Known{"train_accuracy", "Accuracy on the training batch", Scale::kLinear},
    Known{"gap", "Energy gap by t: data minus chain", Scale::kLinear},
    Known{"gradient_norm", "Gradient norm"},
    Known{"displacement", "Displacement of the chain by t"},
    Known{"positive/layer0", "Energy term f of the data, layer 0", Scale::kLinear},
    Known{"negative/layer0", "Energy term f of the chain's end, layer 0", Scale::kLinear},
    Known{"positive/layer1", "Energy term f of the data, layer 1", Scale::kLinear},
    Known{"negative/layer1", "Energy term f of the chain's end, layer 1", Scale::kLinear},
    Known{"positive/layer2", "Energy term f of the data, layer 2", Scale::kLinear},
    Known{"negative/layer2", "Energy term f of the chain's end, layer 2", Scale::kLinear},
    Known{"seconds/update", "Time of an update (s)"},
    Known{"seconds/chain", "Time of the chain (s an update)"},
    Known{"seconds/sum_total", "Waited for gradient sums so far (s)", Scale::kLinear, false},
    Known{"seconds/data_wait_total", "Waited for data so far (s)", Scale::kLinear, false},
    Known{"sum/bytes", "Bytes summed over ranks an update", Scale::kLinear, false},
    Known{"sum/collectives", "Sums over ranks an update", Scale::kLinear, false},
    Known{"images_per_s", "Images a second", Scale::kLinear},
    Known{"learning_rate", "Learning rate", Scale::kLinear, false},
    Known{"attempt", "Attempt (rollbacks so far)", Scale::kLinear, false},
};
// Longer endings first.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kUnits = {{{"_gb_per_s", "GB/s"},
    {"_gbps", "GB/s"}, {"_per_s", "a second"}, {"_ms", "ms"}, {"_s", "s"}, {"_bytes", "bytes"}, {"_nats", "nats"}}};

std::size_t rank_of(const std::string& group) {
  const auto it = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& k) { return k.group == group; });
  return static_cast<std::size_t>(it - kKnown.begin());
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "t0" -> "t = 0", "layer2" -> "layer 2", "level1.layer2." -> "level 1, layer 2"; "" where it is
// not of such pieces.
std::string index_name(std::string_view component) {
  std::string name;
  for (std::size_t i = 0; i < component.size();) {
    std::size_t digits = i;
    while (digits < component.size() && is_letter(component[digits])) ++digits;
    std::size_t end = digits;
    while (end < component.size() && is_digit(component[end])) ++end;
    if (end == digits || digits - i > 12) return {};
    const auto letters = component.substr(i, digits - i);
    name += fmt::format("{}{}{}{}", name.empty() ? "" : ", ", letters,
        letters.empty()       ? ""
        : letters.size() == 1 ? " = "
                              : " ",
        component.substr(digits, end - digits));
    if (end < component.size() && component[end] != '.') return {};
    i = end + 1;
  }
  return name;
}

// "gap/t0" -> {"gap", "t0"}; "loss" -> {"loss", ""}
std::pair<std::string, std::string> split_tag(const std::string& tag) {
  const auto slash = tag.rfind('/');
  if (slash != std::string::npos && slash > 0 && !index_name(std::string_view(tag).substr(slash + 1)).empty()) {
    return {tag.substr(0, slash), tag.substr(slash + 1)};
  }
  return {tag, ""};
}

// "t2" before "t10".
struct ByNumber {
  bool operator()(const std::string& a, const std::string& b) const {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  }
};

}  // namespace

std::string plot_title(const std::string& group) {
  if (const std::size_t known = rank_of(group); known < kKnown.size()) return std::string(kKnown[known].title);
  std::string title = group, unit;
  for (const auto& [ending, name] : kUnits) {
    if (title.size() > ending.size() && title.ends_with(ending)) {
      title.resize(title.size() - ending.size());
      unit = fmt::format(" ({})", name);
      break;
    }
  }
  if (const auto slash = title.rfind('/'); slash != std::string::npos) {
    if (const std::string index = index_name(std::string_view(title).substr(slash + 1)); !index.empty()) {
      title = title.substr(0, slash + 1) + index;
    }
  }
  std::replace(title.begin(), title.end(), '_', ' ');
  for (auto slash = title.find('/'); slash != std::string::npos; slash = title.find('/')) title.replace(slash, 1, ", ");
  if (!title.empty())
    title[0] = title[0] >= 'a' && title[0] <= 'z' ? static_cast<char>(title[0] - 'a' + 'A') : title[0];
  return title + unit;
}

std::vector<LinePlot> plots_of(const std::vector<nlohmann::json>& metrics) {
  std::map<std::pair<std::size_t, std::string>, std::map<std::string, Series, ByNumber>> groups;  // the known first
  for (const nlohmann::json& line : metrics) {
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number()) continue;
    const double step = line["step"].get<double>();
    for (const auto& [tag, value] : line.items()) {
      if (tag == "step" || tag == "time_s" || !(value.is_number() || value.is_null())) continue;
      const auto [group, index] = split_tag(tag);
      Series& series = groups[{rank_of(group), group}][index];
      series.x.push_back(step);
      series.y.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
    }
  }
  std::vector<LinePlot> plots;
  for (auto& [key, lines] : groups) {
    const auto& [known, group] = key;
    LinePlot plot;
    plot.title = plot_title(group);
    if (known < kKnown.size()) {
      plot.scale = kKnown[known].scale;
      plot.smooth = kKnown[known].smooth;
    }
    for (auto& [index, series] : lines) {
      series.name = index_name(index);
      if (series.name.empty()) series.name = lines.size() > 1 ? "all" : group;
      plot.series.push_back(std::move(series));
    }
    plots.push_back(std::move(plot));
  }
  return plots;
}

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
  if (y.size() <= max_points) return evenly(y.size(), y.size());
  std::set<std::size_t> picked;
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
    for (const std::size_t i : {low, high, gap}) {
      if (i != end) picked.insert(i);
    }
  }
  return {picked.begin(), picked.end()};
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
