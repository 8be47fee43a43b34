#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <vector>

#include "report/html.h"
#include "report/sections.h"

namespace hebm::report {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kMaxRows = 200, kMaxText = 2000;
constexpr int kMaxDepth = 6;

std::string render(const Json& json, int depth);

std::string scalar(const Json& json) {
  if (json.is_null()) return "-";
  if (json.is_string()) {
    std::string text = json.get<std::string>();
    if (text.size() > kMaxText) text.replace(kMaxText, std::string::npos, "...");
    return escape(text);
  }
  if (json.is_number_float()) return format_number(json.get<double>());
  return escape(json.dump());
}

std::string more(std::size_t size) {
  return size > kMaxRows ? fmt::format("<p class=\"soft\">and {} more</p>", size - kMaxRows) : "";
}

bool is_table(const Json& json) {
  return json.is_array() && !json.empty() &&
         std::all_of(json.begin(), json.end(), [](const Json& j) { return j.is_object() && !j.empty(); });
}

std::string table(const Json& rows, int depth) {
  std::vector<std::string> columns;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < std::min(rows.size(), kMaxRows); ++i) {
    for (const auto& [key, value] : rows[i].items()) {
      if (columns.size() < 30 && seen.insert(key).second) columns.push_back(key);
    }
  }
  // Names before numbers; JSON objects come in alphabetical order.
  const auto numeric = [&](const std::string& column) { return rows[0].value(column, Json()).is_number(); };
  std::stable_partition(columns.begin(), columns.end(), [&](const std::string& column) { return !numeric(column); });
  std::string out = "<div class=\"wide\"><table><tr>";
  for (const std::string& column : columns)
    out += fmt::format("<th{}>{}</th>", numeric(column) ? " class=\"n\"" : "", escape(column));
  for (std::size_t i = 0; i < std::min(rows.size(), kMaxRows); ++i) {
    out += "</tr>\n<tr>";
    for (const std::string& column : columns) {
      const Json value = rows[i].value(column, Json());
      out += fmt::format("<td{}>{}</td>", value.is_number() ? " class=\"n\"" : "", render(value, depth + 1));
    }
  }
  return out + "</tr></table></div>" + more(rows.size());
}

std::string object(const Json& json, int depth) {
  std::string out = "<div class=\"wide\"><table>";
  std::size_t shown = 0;
  for (const auto& [key, value] : json.items()) {
    if (shown++ == kMaxRows) break;
    out += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", escape(key), render(value, depth + 1));
  }
  return out + "</table></div>" + more(json.size());
}

std::string list(const Json& json, int depth) {
  std::string out;
  for (std::size_t i = 0; i < std::min(json.size(), kMaxRows); ++i)
    out += (i > 0 ? ", " : "") + render(json[i], depth + 1);
  return out + more(json.size());
}

std::string render(const Json& json, int depth) {
  if (!json.is_structured()) return scalar(json);
  if (depth >= kMaxDepth) return "...";
  if (is_table(json)) return table(json, depth);
  return json.is_object() ? object(json, depth) : list(json, depth);
}

}  // namespace

std::string json_html(const nlohmann::json& json) { return render(json, 0); }

std::string missing(const std::string& html) { return "<p class=\"missing\">" + html + "</p>\n"; }

}  // namespace hebm::report
