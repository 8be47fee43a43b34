// A sweep's page: score and sampling seconds over each option that varies, and the table of
// settings.
#include <fmt/core.h>

#include <cmath>

#include "report/html.h"
#include "report/sections.h"
#include "report/summary.h"
#include "report/svg_plot.h"
#include "storage/lenient_json.h"

namespace hebm::report {
namespace {

const nlohmann::json kNothing = nlohmann::json::array();

using storage::text_in;

const nlohmann::json& array_in(const nlohmann::json& object, const char* key) {
  const nlohmann::json* field = storage::field_in(object, key);
  return field != nullptr && field->is_array() ? *field : kNothing;
}

std::vector<double> numbers(const nlohmann::json& array) {
  std::vector<double> out;
  for (const nlohmann::json& value : array) out.push_back(value.is_number() ? value.get<double>() : std::nan(""));
  return out;
}

std::string plot(const nlohmann::json& json, const char* score, const std::string& title) {
  const std::string option = text_in(json, "option");
  LinePlot plot{.title = fmt::format("{} over {}", title, option),
                .x_label = option,
                .scale = Scale::kLinear,
                .smooth = false,
                .series = {}};
  for (const nlohmann::json& line : array_in(json, "lines")) {
    Series series{text_in(line, "name"), numbers(array_in(line, "x")), numbers(array_in(line, score))};
    if (series.x.size() == series.y.size()) plot.series.push_back(std::move(series));
  }
  return line_plot_svg(plot);
}

// "12.34 (12.01 - 12.80)"
std::string spread(const nlohmann::json& setting, const char* key) {
  if (!setting.is_object() || !setting.contains(key)) return "-";
  const nlohmann::json& s = setting[key];
  const std::string mean = format_number(number_in(s, "mean"));
  return number_in(s, "count") >= 2 ? fmt::format("{} ({} - {})", mean, format_number(number_in(s, "low")),
                                                  format_number(number_in(s, "high")))
                                    : mean;
}

}  // namespace

std::string sweep_section(const RunFolder& run) {
  const auto it = run.results.find("sweep");
  if (it == run.results.end()) return "";
  std::string out = "<h2 id=\"sweep\">Sweep</h2>\n<div class=\"plots\">";
  for (const nlohmann::json& json : array_in(it->second, "plots")) {
    out += plot(json, "fd_fmnist", "fd_fmnist") + plot(json, "sampling_s", "Sampling time (s)");
  }
  out +=
      "</div>\n<div class=\"wide\"><table><tr><th>setting</th><th class=\"n\">fd_fmnist</th><th class=\"n\">sampling "
      "(s)</th>"
      "<th class=\"n\">gap closed</th><th class=\"n\">members</th></tr>\n";
  for (const nlohmann::json& setting : array_in(it->second, "settings")) {
    out += fmt::format(
        "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td></tr>\n",
        escape(text_in(setting, "name")), spread(setting, "fd_fmnist"), spread(setting, "sampling_s"),
        spread(setting, "gap_closed"), format_number(number_in(setting, "members")));
  }
  out +=
      "</table></div>\n<p class=\"soft\">Means over seeds, with the range where there are several. fd_fmnist is the "
      "Fr&#233;chet distance "
      "(lower is better) of the features of this project's own small classifier; it is not FID. Sampling times are "
      "comparable where no other "
      "member ran at the same time.</p>\n<h3>Members</h3>\n";
  return out + json_html(array_in(it->second, "members")) + "\n";
}

}  // namespace hebm::report
