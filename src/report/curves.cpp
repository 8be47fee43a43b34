#include "report/curves.h"
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <string_view>

namespace hebm::report {
namespace {

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
  std::stable_sort(
      order.begin(), order.end(), [](const std::string& a, const std::string& b) { return rank_of(a) < rank_of(b); });
  std::vector<LinePlot> plots;
  for (const std::string& group : order) {
    LinePlot plot;
    plot.title = plot_title(group);
    if (const std::size_t known = rank_of(group); known < kKnown.size()) {
      plot.scale = kKnown[known].scale;
      plot.smooth = kKnown[known].smooth;
    }
    for (auto& [index, series] : groups[group]) {
      series.name = index_name(index);
      if (series.name.empty()) series.name = groups[group].size() > 1 ? "all" : group;
      plot.series.push_back(std::move(series));
    }
    plots.push_back(std::move(plot));
  }
  return plots;
}

}  // namespace hebm::report
