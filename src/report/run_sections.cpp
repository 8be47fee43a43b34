// Sections on how the run was set up and how it went: curves, configuration, environment, commands;
// and results without a section of their own. Any JSON as blocks.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>
#include "base/options_text.h"
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
  if (json.is_structured()) return {.text = "", .blocks = std::make_shared<Blocks>(json_blocks(json, depth))};
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

constexpr std::size_t kMaxPlots = 24;  // a part; the page's size

// One line "steps = 50  # command line" as a row; what does not come from the default is set in
// bold.
Row config_row(std::string_view line) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos) return {{{.text = std::string(line), .span = 2}}};
  std::string_view value = line.substr(equals + 1), origin;
  if (const auto hash = value.rfind("  # "); hash != std::string_view::npos) {
    origin = hebm::detail::trim(value.substr(hash + 4));
    value = value.substr(0, hash);
  }
  if (origin.starts_with("default")) origin = {};
  return {{{.text = std::string(hebm::detail::trim(line.substr(0, equals)))},
              {.text = std::string(hebm::detail::trim(value)), .note = std::string(origin)}},
      origin.empty() ? "" : "changed"};
}

// A box a section of the file.
Boxes config_boxes(const std::string& text) {
  std::istringstream lines(text);
  Boxes out{.style = "columns", .boxes = {}};
  const Table empty{.heads = {}, .rows = {}, .style = "plain"};
  for (std::string line; std::getline(lines, line);) {
    const std::string_view content = hebm::detail::trim(line);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    if (content.front() == '[' && content.back() == ']') {
      out.boxes.push_back({Heading{std::string(content.substr(1, content.size() - 2))}, empty});
      continue;
    }
    if (out.boxes.empty()) out.boxes.push_back({empty});
    std::get<Table>(out.boxes.back().back()).rows.push_back(config_row(content));
  }
  return out;
}

// "0" for a single line that never changes, "" for all others.
std::string constant_value(const LinePlot& plot) {
  if (plot.series.size() != 1 || plot.series[0].y.size() < 3) return {};
  const std::vector<double>& y = plot.series[0].y;
  const bool constant = std::all_of(y.begin(), y.end(), [&](double v) { return v == y.front(); });
  return constant ? format_number(y.front()) : "";
}

// The plots of a part; those that never change, and those beyond the page's size, in words.
Blocks curves_of(const RunPart& part) {
  Plots shown;
  std::vector<std::string> constants;
  std::size_t left_out = 0;
  for (LinePlot& plot : plots_of(part.metrics)) {
    if (const std::string constant = constant_value(plot); !constant.empty()) {
      constants.push_back(fmt::format("{}: {}", plot.title, constant));
    } else if (shown.plots.size() < kMaxPlots && has_points(plot)) {
      shown.plots.push_back(std::move(plot));
    } else {
      ++left_out;
    }
  }
  if (shown.plots.empty() && constants.empty()) return {};
  Blocks out = {Heading{part.title}, std::move(shown)};
  if (!constants.empty()) out.push_back(soft(fmt::format("Constant: {}.", fmt::join(constants, "; "))));
  if (left_out > 0) out.push_back(soft(fmt::format("{} more in metrics.jsonl.", left_out)));
  return out;
}

Blocks curves_section(const RunFolder& run) {
  Blocks out;
  for (const RunPart& part : run.parts) append(out, curves_of(part));
  if (out.empty()) return {missing("No curves yet: training writes `metrics.jsonl`.")};
  out.push_back(
      soft("Faint: recorded values. Strong: their exponential moving average over a sixtieth of the record, "
           "at least 8 values."));
  return out;
}

Blocks configuration_section(const RunFolder& run) {
  Blocks out = {soft("Bold: not the default, with where it comes from.")};
  for (const RunPart& part : run.parts) {
    if (!part.config.empty()) append(out, {Heading{part.title}, config_boxes(part.config)});
  }
  if (out.size() == 1) return {missing("No `config.ini` in this folder.")};
  return out;
}

// Steps of one run mostly share machine and versions: said once.
Blocks environment_section(const RunFolder& run) {
  Blocks out;
  const RunPart* first = nullptr;
  for (const RunPart& part : run.parts) {
    if (!part.environment.is_object()) continue;
    if (first != nullptr && part.environment == first->environment) {
      out.push_back(soft(part.title + ": the same."));
      continue;
    }
    if (first == nullptr) first = &part;
    out.push_back(Heading{part.title});
    append(out, json_blocks(part.environment));
  }
  if (out.empty()) return {missing("No `env.json` in this folder.")};
  return out;
}

Blocks commands_section(const RunFolder& run) {
  std::string commands;
  for (const RunPart& part : run.parts) {
    if (!part.command.empty()) commands += fmt::format("# {}\n{}\n", part.title, part.command);
  }
  if (commands.empty()) return {missing("No commands recorded: each step writes its own to `env.json`.")};
  return {Verbatim{commands}};
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

template <> SectionSource section<"results">() {
  return {"results", "Other results", "", {}, "", [](const RunFolder& run) {
            Blocks out;
            const auto sources = section_sources();
            for (const auto& [name, json] : run.results) {
              const bool shown = std::any_of(sources.begin(), sources.end(),
                  [&name = name, &json = json](const SectionSource& source) { return source.files.has(name, json); });
              if (shown) continue;
              out.push_back(Heading{name});
              append(out, json_blocks(json));
            }
            return out;
          }};
}
template <> SectionSource section<"curves">() { return {"curves", "Curves", "Curves", {}, "", curves_section}; }
template <> SectionSource section<"configuration">() {
  return {"configuration", "Configuration", "Configuration", {}, "", configuration_section};
}
template <> SectionSource section<"environment">() {
  return {"environment", "Environment", "Environment", {}, "", environment_section};
}
template <> SectionSource section<"commands">() {
  return {"commands", "How it was made", "How it was made", {}, "", commands_section};
}

}  // namespace hebm::report
