// Results without a section of their own, and any JSON as blocks.
#include <fmt/core.h>
#include <algorithm>
#include <set>
#include "report/html.h"
#include "report/sections.h"

namespace hebm::report {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kMaxRows = 200, kMaxColumns = 30, kMaxText = 2000;
constexpr int kMaxDepth = 6;

std::string scalar(const Json& json) {
  if (json.is_null()) return "-";
  if (json.is_number_float()) return format_number(json.get<double>());
  if (!json.is_string()) return json.dump();
  const auto text = json.get<std::string>();
  return text.size() > kMaxText ? text.substr(0, kMaxText) + "..." : text;
}

Cell cell(const Json& json, int depth) {
  if (json.is_structured()) return {.text = "", .blocks = json_blocks(json, depth)};
  return {.text = scalar(json)};
}

bool is_table(const Json& json) {
  return json.is_array() && !json.empty() &&
         std::all_of(json.begin(), json.end(), [](const Json& j) { return j.is_object() && !j.empty(); });
}

Table table(const Json& rows, int depth) {
  std::vector<std::string> columns;
  std::set<std::string> seen;
  const std::size_t count = std::min(rows.size(), kMaxRows);
  for (std::size_t i = 0; i < count; ++i) {
    for (const auto& [key, value] : rows[i].items()) {
      if (columns.size() < kMaxColumns && seen.insert(key).second) columns.push_back(key);
    }
  }
  // Names before numbers; JSON objects come in alphabetical order.
  const auto numeric = [&](const std::string& column) { return rows[0].value(column, Json()).is_number(); };
  std::stable_partition(columns.begin(), columns.end(), [&](const std::string& column) { return !numeric(column); });
  Table out{.heads = {Row{}}, .rows = std::vector<Row>(count)};
  for (const std::string& column : columns) out.heads[0].cells.push_back({.text = column, .number = numeric(column)});
  for (std::size_t i = 0; i < count; ++i) {
    for (const std::string& column : columns) {
      const Json value = rows[i].value(column, Json());
      out.rows[i].cells.push_back(cell(value, depth + 1));
      out.rows[i].cells.back().number = value.is_number();
    }
  }
  return out;
}

Table object(const Json& json, int depth) {
  Table out;
  for (const auto& [key, value] : json.items()) {
    if (out.rows.size() == kMaxRows) break;
    out.rows.push_back({{{.text = key}, cell(value, depth + 1)}});
  }
  return out;
}

Blocks list(const Json& json, int depth) {
  Blocks out;
  for (std::size_t i = 0; i < std::min(json.size(), kMaxRows); ++i) {
    if (i > 0) out.push_back(Text{", ", Tone::kInline});
    append(out, json_blocks(json[i], depth + 1));
  }
  return out;
}

}  // namespace

Blocks json_blocks(const Json& json, int depth) {
  if (!json.is_structured()) return {Text{scalar(json), Tone::kInline}};
  if (depth >= kMaxDepth) return {Text{"...", Tone::kInline}};
  Blocks out;
  if (is_table(json)) {
    out = {table(json, depth)};
  } else if (json.is_object()) {
    out = {object(json, depth)};
  } else {
    out = list(json, depth);
  }
  if (json.size() > kMaxRows) out.push_back(soft(fmt::format("and {} more", json.size() - kMaxRows)));
  return out;
}

SectionSource others() {
  return {{}, "", [](const RunFolder& run) {
            Section out{"results", "Other results", ""};
            const auto sources = section_sources();
            for (const auto& [name, json] : run.results) {
              const bool shown = std::any_of(sources.begin(), sources.end(),
                  [&](const SectionSource& source) { return source.files.has(name, json); });
              if (shown) continue;
              out.blocks.push_back(Heading{name});
              append(out.blocks, json_blocks(json));
            }
            return out;
          }};
}

}  // namespace hebm::report
