// Sections on how the run was set up and how it went: curves, configuration, environment, commands.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>
#include "base/options_text.h"
#include "report/curves.h"
#include "report/html.h"
#include "report/sections.h"

namespace hebm::report {
namespace {

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
  Table table{.heads = {}, .rows = {}, .style = "plain"};
  std::string title;
  const auto finish = [&] {
    if (title.empty() && table.rows.empty()) return;
    Blocks& box = out.boxes.emplace_back();
    if (!title.empty()) box.push_back(Heading{title});
    box.push_back(std::exchange(table, {.heads = {}, .rows = {}, .style = "plain"}));
  };
  for (std::string line; std::getline(lines, line);) {
    const std::string_view content = hebm::detail::trim(line);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    if (content.front() != '[' || content.back() != ']') {
      table.rows.push_back(config_row(content));
      continue;
    }
    finish();
    title = content.substr(1, content.size() - 2);
  }
  finish();
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

Section curves_section(const RunFolder& run) {
  Section out{"curves", "Curves", "Curves"};
  for (const RunPart& part : run.parts) {
    append(out.blocks, curves_of(part));
  }
  out.blocks.push_back(out.blocks.empty()
                           ? missing("No curves yet: training writes `metrics.jsonl`.")
                           : soft("Faint: recorded values. Strong: their exponential moving average over a sixtieth of "
                                  "the record, at least 8 values."));
  return out;
}

Section configuration_section(const RunFolder& run) {
  Section out{
      "configuration", "Configuration", "Configuration", {soft("Bold: not the default, with where it comes from.")}};
  for (const RunPart& part : run.parts) {
    if (!part.config.empty()) append(out.blocks, {Heading{part.title}, config_boxes(part.config)});
  }
  if (out.blocks.size() == 1) out.blocks = {missing("No `config.ini` in this folder.")};
  return out;
}

// Steps of one run mostly share machine and versions: said once.
Section environment_section(const RunFolder& run) {
  Section out{"environment", "Environment", "Environment"};
  const RunPart* first = nullptr;
  for (const RunPart& part : run.parts) {
    if (!part.environment.is_object()) continue;
    if (first != nullptr && part.environment == first->environment) {
      out.blocks.push_back(soft(part.title + ": the same."));
      continue;
    }
    if (first == nullptr) first = &part;
    out.blocks.push_back(Heading{part.title});
    append(out.blocks, json_blocks(part.environment));
  }
  if (out.blocks.empty()) out.blocks = {missing("No `env.json` in this folder.")};
  return out;
}

Section commands_section(const RunFolder& run) {
  std::string commands;
  for (const RunPart& part : run.parts) {
    if (!part.command.empty()) commands += fmt::format("# {}\n{}\n", part.title, part.command);
  }
  Section out{"commands", "How it was made", "How it was made", {Verbatim{commands}}};
  if (commands.empty()) out.blocks = {missing("No commands recorded: each step writes its own to `env.json`.")};
  return out;
}

}  // namespace

SectionSource curves() { return {{}, "", curves_section}; }
SectionSource configuration() { return {{}, "", configuration_section}; }
SectionSource environment() { return {{}, "", environment_section}; }
SectionSource commands() { return {{}, "", commands_section}; }

}  // namespace hebm::report
