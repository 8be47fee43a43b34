#include "report/curves.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <map>
#include <string_view>

namespace hebm::report {
namespace {

struct Known {
  std::string_view group, title;
};
// In the order in which a reader wants them.
constexpr std::array<Known, 22> kKnown = {{
    {"loss", "Loss"},
    {"train/loss", "Loss"},
    {"elbo", "ELBO (nats an image)"},
    {"bits_per_dim", "Bits per dimension"},
    {"reconstruction", "Reconstruction term (nats an image)"},
    {"distortion", "Reconstruction term (nats an image)"},
    {"kl", "KL by layer (nats an image)"},
    {"kl_weight", "Weight of the KL terms"},
    {"accuracy", "Accuracy"},
    {"test/accuracy", "Accuracy on test images"},
    {"loss_by_t", "Loss by t"},
    {"gap", "Energy gap by t: data minus chain"},
    {"energy_gap", "Energy gap by t: data minus chain"},
    {"gradient_norm", "Gradient norm by layer"},
    {"displacement", "Displacement of the chain by t: mean |y_K - u_{t+1}|"},
    {"langevin/displacement", "Displacement of the chain by t: mean |y_K - u_{t+1}|"},
    {"chain_time_s", "Time of the chain (s an update)"},
    {"chain_s", "Time of the chain (s an update)"},
    {"update_s", "Time of an update (s)"},
    {"images_per_s", "Images a second"},
    {"learning_rate", "Learning rate"},
    {"lr", "Learning rate"},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kUnits = {{{"_per_s", "a second"},
                                                                                  {"_gbps", "GB/s"},
                                                                                  {"_gb_per_s", "GB/s"},
                                                                                  {"_ms", "ms"},
                                                                                  {"_s", "s"},
                                                                                  {"_bytes", "bytes"},
                                                                                  {"_nats", "nats"}}};

std::size_t rank_of(const std::string& group) {
  const auto it = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& k) { return k.group == group; });
  return static_cast<std::size_t>(it - kKnown.begin());
}

bool is_index(std::string_view component) {
  const auto digits = component.find_first_of("0123456789");
  return digits != std::string_view::npos && digits <= 12 &&
         std::all_of(component.begin(), component.begin() + static_cast<std::ptrdiff_t>(digits),
                     [](unsigned char c) { return std::isalpha(c) != 0; }) &&
         std::all_of(component.begin() + static_cast<std::ptrdiff_t>(digits), component.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

// "gap/t0" -> {"gap", "t0"}; "loss" -> {"loss", ""}
std::pair<std::string, std::string> split_tag(const std::string& tag) {
  const auto slash = tag.rfind('/');
  if (slash != std::string::npos && slash > 0 && is_index(std::string_view(tag).substr(slash + 1))) {
    return {tag.substr(0, slash), tag.substr(slash + 1)};
  }
  return {tag, ""};
}

// "layer2" -> "layer 2"; "t0" -> "t = 0"
std::string line_name(const std::string& index) {
  const auto digits = index.find_first_of("0123456789");
  if (index.empty() || digits == 0) return index;
  const std::string letters = index.substr(0, digits);
  return letters + (letters.size() == 1 ? " = " : " ") + index.substr(digits);
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
  std::replace(title.begin(), title.end(), '_', ' ');
  for (auto slash = title.find('/'); slash != std::string::npos; slash = title.find('/')) title.replace(slash, 1, ", ");
  if (!title.empty()) title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
  return title + unit;
}

std::vector<LinePlot> plots_of(const std::vector<nlohmann::json>& metrics) {
  std::map<std::string, std::map<std::string, Series, ByNumber>> groups;
  for (const nlohmann::json& line : metrics) {
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number()) continue;
    const double step = line["step"].get<double>();
    for (const auto& [tag, value] : line.items()) {
      if (tag == "step" || tag == "time_s" || !(value.is_number() || value.is_null())) continue;
      const auto [group, index] = split_tag(tag);
      Series& series = groups[group][index];
      series.x.push_back(step);
      series.y.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
    }
  }
  std::vector<std::string> order;
  for (const auto& [group, lines] : groups) order.push_back(group);
  std::stable_sort(order.begin(), order.end(),
                   [](const std::string& a, const std::string& b) { return rank_of(a) < rank_of(b); });
  std::vector<LinePlot> plots;
  for (const std::string& group : order) {
    LinePlot plot;
    plot.title = plot_title(group);
    for (auto& [index, series] : groups[group]) {
      series.name = line_name(index);
      if (series.name.empty()) series.name = groups[group].size() > 1 ? "all" : group;
      plot.series.push_back(std::move(series));
    }
    plots.push_back(std::move(plot));
  }
  return plots;
}

}  // namespace hebm::report
