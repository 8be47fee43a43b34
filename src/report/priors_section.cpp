#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "report/html.h"
#include "report/report.h"
#include "report/sections.h"
#include "report/summary.h"

namespace hebm::report {
namespace {

constexpr std::size_t kMaxRows = 100;

std::vector<nlohmann::json> rows_of(const nlohmann::json& result) {
  std::vector<nlohmann::json> out;
  const nlohmann::json* rows = storage::field_in(result, "rows");
  if (rows == nullptr || !rows->is_array()) return out;
  for (const auto& row : *rows) {
    if (row.is_object() && std::isfinite(number_in(row, "fd_fmnist")) && out.size() < kMaxRows) out.push_back(row);
  }
  return out;
}

// 2,457,600 -> "2.46 M".
std::string large(double value) {
  if (!std::isfinite(value)) return "";
  if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return value >= 1e4 ? fmt::format("{:.1f} k", value / 1e3) : fmt::format("{:.0f}", value);
}

std::string sampling(const nlohmann::json& row) {
  const double evaluations = number_in(row, "sampling_evaluations");
  return large(number_in(row, "sampling_gradients")) +
         (evaluations > 0 ? fmt::format(" (+ {})", large(evaluations)) : "");
}

struct Column {
  const char* title;
  std::function<std::string(const nlohmann::json&)> text;  // "" where there is no value
};

std::vector<Column> columns(double unit) {
  const auto number = [](const char* key, const char* format) {
    return [=](const nlohmann::json& row) {
      const double value = number_in(row, key);
      return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : std::string();
    };
  };
  const auto share = [=](const nlohmann::json& row) {
    const double value = number_in(row, "fd_fmnist") / unit;
    return std::isfinite(value) ? fmt::format("{:.3f}", value) : std::string();
  };
  return {
      {"fd_fmnist", number("fd_fmnist", "{:.2f}")},
      {"of Gaussian", share},
      {"KID", number("kid", "{:.4g}")},
      {"precision", number("precision", "{:.3f}")},
      {"recall", number("recall", "{:.3f}")},
      {"s / 1,000", number("seconds_per_1000", "{:.1f}")},
      {"gradients, training", [](const nlohmann::json& row) { return large(number_in(row, "training_gradients")); }},
      {"a sample", sampling}};
}

double gaussian_distance(const std::vector<nlohmann::json>& rows) {
  const auto it = std::find_if(rows.begin(), rows.end(),
                               [](const nlohmann::json& row) { return storage::text_in(row, "kind") == "gaussian"; });
  return it == rows.end() ? std::nan("") : number_in(*it, "fd_fmnist");
}

}  // namespace

std::string priors_table(const nlohmann::json& result) {
  const auto rows = rows_of(result);
  if (rows.empty()) return "no scores yet\n";
  std::size_t name_width = 0;
  for (const auto& row : rows) name_width = std::max(name_width, storage::text_in(row, "name").size());
  std::vector<std::string> lines = {std::string(name_width, ' ')};
  for (const auto& row : rows) lines.push_back(fmt::format("{:<{}}", storage::text_in(row, "name"), name_width));
  for (const Column& column : columns(gaussian_distance(rows))) {
    std::vector<std::string> cells = {column.title};
    for (const auto& row : rows) cells.push_back(column.text(row));
    std::size_t width = 0;
    for (const std::string& cell : cells) width = std::max(width, cell.size());
    for (std::size_t i = 0; i < cells.size(); ++i)
      lines[i] += fmt::format("  {:>{}}", cells[i].empty() ? "-" : cells[i], width);
  }
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::string priors_section(const RunFolder& run) {
  const auto it = run.results.find("priors");
  const auto rows = it == run.results.end() ? std::vector<nlohmann::json>() : rows_of(it->second);
  if (rows.empty()) return {};
  const auto shown = columns(gaussian_distance(rows));
  std::string out =
      "<h2 id=\"priors\">Priors on one backbone</h2>\n"
      "<p>As the paper's Table 1: the same VAE, latent cache and energy nets, another prior in each row "
      "(<code>hebm_dist evaluate --all</code>).</p>\n"
      "<div class=\"wide\"><table><tr><th></th>";
  for (const Column& column : shown) out += fmt::format("<th class=\"n\">{}</th>", column.title);
  out += "</tr>\n";
  for (const auto& row : rows) {
    out += fmt::format("<tr{}><td>{}</td>", storage::text_in(row, "kind") == "diffusion" ? " class=\"ours\"" : "",
                       escape(storage::text_in(row, "name")));
    for (const Column& column : shown) {
      const std::string text = column.text(row);
      out += fmt::format("<td class=\"n\">{}</td>", text.empty() ? "-" : escape(text));
    }
    out += "</tr>\n";
  }
  return out +
         "</table></div>\n<p class=\"soft\">s / 1,000: seconds for 1,000 images on the ranks that drew them. "
         "Gradients: of all energy nets at one image, in "
         "training (K of every chain, one for each half of the loss) and for one sample; (+ M): evaluations without "
         "gradient.</p>\n";
}

}  // namespace hebm::report
