#include "report/summary.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "base/status.h"
#include "report/html.h"
#include "report/report.h"

namespace hebm::report {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 3> kRows = {{
    {"gaussian", "Gaussian prior"},
    {"reconstruction", "Reconstruction"},
    {"diffusion", "Ours (diffusion EBM)"},
}};

ScoreRow read_row(const std::string& key, const std::string& title, const nlohmann::json& object) {
  return {key,
          title,
          number_in(object, "fd_fmnist"),
          number_in(object, "kid"),
          number_in(object, "kid_error"),
          number_in(object, "precision"),
          number_in(object, "recall"),
          number_in(object, "num_images"),
          number_in(object, "seconds")};
}

std::string readable(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  if (!key.empty() && key[0] >= 'a' && key[0] <= 'z') key[0] = static_cast<char>(key[0] - 'a' + 'A');
  return key;
}

struct Column {
  const char* title;
  std::function<std::string(const ScoreRow&)> text;  // "" where there is no value
};

std::vector<Column> columns(const Summary& summary) {
  const ScoreRow* gaussian = summary.row("gaussian");
  const double unit = gaussian ? gaussian->fd : std::numeric_limits<double>::quiet_NaN();
  const auto or_empty = [](double value, const char* format) {
    return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : std::string();
  };
  return {{"fd_fmnist", [=](const ScoreRow& r) { return or_empty(r.fd, "{:.2f}"); }},
          {"of Gaussian", [=](const ScoreRow& r) { return or_empty(r.fd / unit, "{:.3f}"); }},
          {"KID", [=](const ScoreRow& r) { return or_empty(r.kid, "{:.4g}"); }},
          {"precision", [=](const ScoreRow& r) { return or_empty(r.precision, "{:.3f}"); }},
          {"recall", [=](const ScoreRow& r) { return or_empty(r.recall, "{:.3f}"); }},
          {"images", [=](const ScoreRow& r) { return or_empty(r.num_images, "{:.0f}"); }},
          {"time",
           [](const ScoreRow& r) { return std::isfinite(r.seconds) ? format_duration(r.seconds) : std::string(); }}};
}

}  // namespace

const ScoreRow* Summary::row(const std::string& key) const {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const ScoreRow& r) { return r.key == key; });
  return it == rows.end() ? nullptr : &*it;
}

Summary read_summary(const nlohmann::json& json) {
  Summary summary;
  summary.gap_closed = number_in(json, "gap_closed");
  if (!json.is_object()) return summary;
  for (const auto& [key, title] : kRows) {
    if (json.contains(key) && json[key].is_object()) summary.rows.push_back(read_row(key, title, json[key]));
  }
  for (const auto& [key, value] : json.items()) {
    if (summary.row(key) == nullptr && value.is_object() && std::isfinite(number_in(value, "fd_fmnist"))) {
      summary.rows.push_back(
          read_row(key, key == "sanity_test_vs_train" ? "Test against training images" : readable(key), value));
    }
  }
  const ScoreRow *gaussian = summary.row("gaussian"), *best = summary.row("reconstruction"),
                 *ours = summary.row("diffusion");
  if (!std::isfinite(summary.gap_closed) && gaussian && best && ours) {
    summary.gap_closed = (gaussian->fd - ours->fd) / (gaussian->fd - best->fd);
  }
  return summary;
}

std::string summary_table(const nlohmann::json& json) {
  const Summary summary = read_summary(json);
  if (summary.rows.empty()) return "no scores yet\n";
  std::size_t name_width = 0;
  for (const ScoreRow& row : summary.rows) name_width = std::max(name_width, row.title.size());
  std::vector<std::string> lines(summary.rows.size() + 1);
  lines[0] = fmt::format("{:<{}}", "", name_width);
  for (std::size_t r = 0; r < summary.rows.size(); ++r)
    lines[r + 1] = fmt::format("{:<{}}", summary.rows[r].title, name_width);
  for (const Column& column : columns(summary)) {
    std::vector<std::string> cells = {column.title};
    for (const ScoreRow& row : summary.rows) cells.push_back(column.text(row));
    if (std::all_of(cells.begin() + 1, cells.end(), [](const std::string& c) { return c.empty(); })) continue;
    std::size_t width = 0;
    for (const std::string& cell : cells) width = std::max(width, cell.size());
    for (std::size_t i = 0; i < cells.size(); ++i)
      lines[i] += fmt::format("  {:>{}}", cells[i].empty() ? "-" : cells[i], width);
  }
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  if (std::isfinite(summary.gap_closed)) {
    out += fmt::format("gap closed: {:.3f} = (Gaussian - ours) / (Gaussian - reconstruction)\n", summary.gap_closed);
  }
  return out;
}

}  // namespace hebm::report
