// Experiments on a trained prior: what `transition`, `vary` and `evaluate` with temperatures found.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "report/html.h"
#include "report/sections.h"
#include "report/svg_plot.h"
#include "storage/lenient_json.h"

namespace hebm::report {
namespace {

using storage::field_in;
using storage::number_in;
using storage::objects_in;

constexpr const char* kTransition = "transition-";

// A curve a level over k; `training`: a level line of the training images.
std::string transition_plot(const std::vector<nlohmann::json>& levels, const char* key, const char* title,
                            double training) {
  LinePlot plot{title, "Langevin step", Scale::kLinear, false, false, {}};
  double last = 0;
  for (const nlohmann::json& level : levels) {
    Series series{fmt::format("t = {:.0f}", number_in(level, "t")), {}, {}};
    for (const nlohmann::json& state : objects_in(level, "states")) {
      series.x.push_back(number_in(state, "k"));
      series.y.push_back(number_in(state, key));
      last = std::max(last, std::isfinite(series.x.back()) ? series.x.back() : 0.0);
    }
    plot.series.push_back(std::move(series));
  }
  if (std::isfinite(training)) plot.series.push_back({"training images", {0, last}, {training, training}});
  return line_plot_svg(plot);
}

std::string transition_table(const std::vector<nlohmann::json>& levels, const nlohmann::json& training) {
  constexpr std::array<std::pair<const char*, const char*>, 5> kColumns = {{{"energy", "energy"},
                                                                            {"displacement", "displacement"},
                                                                            {"fd_fmnist", "fd_fmnist"},
                                                                            {"black", "black pixels"},
                                                                            {"white", "white pixels"}}};
  std::string out = "<div class=\"wide\"><table><tr><th class=\"n\">t</th><th class=\"n\">step</th>";
  for (const auto& [key, title] : kColumns) out += fmt::format("<th class=\"n\">{}</th>", title);
  out += "</tr>\n";
  for (const nlohmann::json& level : levels) {
    const auto states = objects_in(level, "states");
    if (states.empty()) continue;
    for (const nlohmann::json& state : {states.front(), states.back()}) {
      out += "<tr>" + number_cell(number_in(level, "t")) + number_cell(number_in(state, "k"));
      for (const auto& [key, title] : kColumns) out += number_cell(number_in(state, key));
      out += "</tr>\n";
    }
  }
  return out + fmt::format("<tr><td colspan=\"5\">training images</td>{}{}</tr></table></div>\n",
                           number_cell(number_in(training, "black")), number_cell(number_in(training, "white")));
}

std::string transition_html(const std::string& name, const nlohmann::json& result, const RunFolder& run,
                            PictureBudget& budget) {
  const auto levels = objects_in(result, "levels");
  const nlohmann::json* found = field_in(result, "training");
  const nlohmann::json training = found == nullptr ? nlohmann::json() : *found;
  const double none = std::nan("");
  std::string out =
      fmt::format("<h3>{} steps a level, {} chains</h3>\n", escape(format_number(number_in(result, "steps"))),
                  escape(format_number(number_in(result, "num_images"))));
  out += "<div class=\"plots\">" + transition_plot(levels, "energy", "Energy, mean", none) +
         transition_plot(levels, "displacement", "Displacement from the level's start, mean", none) +
         transition_plot(levels, "fd_fmnist", "fd_fmnist of the decoded states", none) +
         transition_plot(levels, "black", "Share of black pixels (at most 1/255)", number_in(training, "black")) +
         transition_plot(levels, "white", "Share of white pixels (at least 254/255)", number_in(training, "white")) +
         "</div>\n";
  out += transition_table(levels, training);
  std::string figures;
  for (const nlohmann::json& level : levels) {
    const std::string suffix = fmt::format("-t{:.0f}", number_in(level, "t"));
    for (const Picture* picture : pictures_named(run, name + suffix)) {
      if (picture->name == name + suffix)
        figures += figure(*picture, fmt::format("t = {:.0f}", number_in(level, "t")), budget);
    }
  }
  return out + (figures.empty() ? "" : "<div class=\"pictures\">" + figures + "</div>\n");
}

}  // namespace

bool has_section(const std::string& result) {
  return result == "summary" || result == "priors" || result.starts_with(kTransition) || result == "vary" ||
         result.starts_with("vary-") || is_labels_result(result);
}

std::string vary_section(const RunFolder& run, PictureBudget& budget) {
  std::string rows, figures;
  std::vector<std::string> shown;
  for (const auto& [name, result] : run.results) {
    if (name != "vary" && !name.starts_with("vary-")) continue;
    for (const nlohmann::json& set : objects_in(result, "sets")) {
      const std::string free = storage::text_in(set, "name");
      if (std::find(shown.begin(), shown.end(), free) != shown.end()) continue;
      shown.push_back(free);
      rows += fmt::format("<tr><td>{}</td>{}{}{}</tr>\n", escape(free), number_cell(number_in(set, "feature_distance")),
                          number_cell(number_in(set, "class_changed")),
                          number_cell(number_in(result, "num_samples") * number_in(result, "variations")));
      for (const Picture* picture : pictures_named(run, "vary-" + free)) {
        if (picture->name == "vary-" + free) figures += figure(*picture, "Free layers: " + free, budget);
      }
    }
  }
  if (rows.empty()) return rows;
  return "<h2 id=\"vary\">Hierarchical sampling</h2>\n<p>The latent u of the named layers (0 is the top) is drawn anew "
         "by the prior, given that of all "
         "others, which is kept. First column of a grid: the kept sample. Distance: of the classifier's features to "
         "the kept sample's, mean; class "
         "changed: share of images whose predicted class is another.</p>\n<div class=\"wide\"><table><tr><th>free "
         "layers</th>"
         "<th class=\"n\">feature distance</th><th class=\"n\">class changed</th><th class=\"n\">images</th></tr>\n" +
         rows + "</table></div>\n" + (figures.empty() ? "" : "<div class=\"pictures\">" + figures + "</div>\n");
}

std::string transition_section(const RunFolder& run, PictureBudget& budget) {
  std::string out;
  for (const auto& [name, result] : run.results) {
    if (name.starts_with(kTransition)) out += transition_html(name, result, run, budget);
  }
  if (out.empty()) return out;
  return "<h2 id=\"transition\">Langevin transitions</h2>\n<p>States along the chains of each level, decoded as if the "
         "chain ended there; a row of "
         "a grid is a chain, from left to right. A level starts where the one above ended. Energy is &#8722;&#8721; f "
         "/ s&#178;, of the level's own nets, so "
         "curves of different t have different zeros. Over-saturated chains would show as shares of black or white "
         "pixels that keep growing.</p>\n" +
         out;
}

// summary.json's by_temperature: [{"temperature": 0.7, "num_images": 2000, "gaussian": {scores},
// "diffusion": {scores}}, ...].
std::string temperature_section(const RunFolder& run, PictureBudget& budget) {
  const auto it = run.results.find("summary");
  auto rows = it == run.results.end() ? std::vector<nlohmann::json>() : objects_in(it->second, "by_temperature");
  std::erase_if(rows, [](const nlohmann::json& row) { return !std::isfinite(number_in(row, "temperature")); });
  if (rows.empty()) return {};
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return number_in(a, "temperature") < number_in(b, "temperature"); });
  constexpr std::array<std::pair<const char*, const char*>, 2> kPriors = {
      {{"gaussian", "Gaussian prior"}, {"diffusion", "Ours"}}};
  constexpr std::array<const char*, 3> kScores = {"fd_fmnist", "precision", "recall"};
  const auto value = [](const nlohmann::json& row, const char* prior, const char* score) {
    const nlohmann::json* scores = field_in(row, prior);
    return scores == nullptr ? std::nan("") : number_in(*scores, score);
  };
  std::string out =
      "<h2 id=\"temperature\">Temperature</h2>\n<p>Every sigma of the final decode is multiplied by the temperature; "
      "the chains run at 1. Low "
      "temperatures give cleaner images (precision) of less variety (recall).</p>\n<div class=\"plots\">";
  std::string head = "<tr><th class=\"n\">temperature</th>";
  for (const char* score : kScores) {
    LinePlot plot{score, "temperature", Scale::kLinear, false, false, {}};
    for (const auto& [prior, title] : kPriors) {
      Series series{title, {}, {}};
      for (const nlohmann::json& row : rows) {
        series.x.push_back(number_in(row, "temperature"));
        series.y.push_back(value(row, prior, score));
      }
      plot.series.push_back(std::move(series));
      head += fmt::format("<th class=\"n\">{}: {}</th>", title, score);
    }
    out += line_plot_svg(plot);
  }
  out += "</div>\n<div class=\"wide\"><table>" + head + "</tr>\n";
  for (const nlohmann::json& row : rows) {
    out += "<tr>" + number_cell(number_in(row, "temperature"));
    for (const char* score : kScores) {
      for (const auto& [prior, title] : kPriors) out += number_cell(value(row, prior, score));
    }
    out += "</tr>\n";
  }
  std::string figures;
  for (const auto& [prior, title] : kPriors) {
    for (const Picture* picture : pictures_named(run, std::string("temperature-") + prior)) {
      figures +=
          figure(*picture, std::string(title) + ": a row a temperature, in the order of the measurement", budget);
    }
  }
  return out + "</table></div>\n" + (figures.empty() ? "" : "<div class=\"pictures\">" + figures + "</div>\n");
}

}  // namespace hebm::report
