// results/transition-K.json of `transition`.
#include <fmt/core.h>
#include <cmath>
#include <functional>
#include "report/html.h"
#include "report/sections.h"
#include "results/experiments.h"

namespace hebm::report {
namespace {

using results::ChainLevel;
using results::ChainState;
using results::number;
using results::Transition;
using Measure = std::function<double(const ChainState&)>;

struct LevelState {
  results::Count t;
  ChainState state;
};

std::string level_name(const ChainLevel& level) { return fmt::format("t = {:.0f}", number(level.t)); }

// A curve a level over k; `training`: a level line of the training images.
LinePlot plot(const Transition& result, const char* title, const Measure& measure, double training = std::nan("")) {
  LinePlot out{title, "Langevin step", Scale::kLinear, false, false, {}};
  double last = 0;
  for (const ChainLevel& level : result.levels) {
    Series series{level_name(level), {}, {}};
    for (const ChainState& state : level.states) {
      series.x.push_back(number(state.k));
      series.y.push_back(measure(state));
      last = std::fmax(last, series.x.back());
    }
    out.series.push_back(std::move(series));
  }
  if (std::isfinite(training)) out.series.push_back({"training images", {0, last}, {training, training}});
  return out;
}

// The first and the last state of each level.
Table table(const Transition& result) {
  std::vector<LevelState> rows;
  for (const ChainLevel& level : result.levels) {
    if (level.states.empty()) continue;
    rows.push_back({level.t, level.states.front()});
    rows.push_back({level.t, level.states.back()});
  }
  const std::vector<results::ColumnOf<LevelState>> columns = {
      {digits("t"), [](const auto& row) { return number(row.t); }},
      {digits("step"), [](const auto& row) { return number(row.state.k); }},
      {digits("energy"), [](const auto& row) { return row.state.energy; }},
      {digits("displacement"), [](const auto& row) { return row.state.displacement; }},
      {digits("fd_fmnist"), [](const auto& row) { return row.state.fd_fmnist; }},
      {digits("black pixels"), [](const auto& row) { return row.state.saturated.black; }},
      {digits("white pixels"), [](const auto& row) { return row.state.saturated.white; }}};
  Table out = table_of(tabulate(columns, rows));
  out.rows.push_back({{{.text = "training images", .span = 5}, number_cell(result.training.black),
      number_cell(result.training.white)}});
  return out;
}

void add(Blocks& out, const Named<Transition>& named, const RunFolder& run) {
  const Transition& result = named.result;
  out.push_back(Heading{fmt::format(
      "{} steps a level, {} chains", format_number(number(result.steps)), format_number(number(result.num_images)))});
  out.push_back(Plots{{plot(result, "Energy, mean", &ChainState::energy),
      plot(result, "Displacement from the level's start, mean", &ChainState::displacement),
      plot(result, "fd_fmnist of the decoded states", &ChainState::fd_fmnist),
      plot(
          result, "Share of black pixels (at most 1/255)",
          [](const ChainState& state) { return state.saturated.black; }, result.training.black),
      plot(
          result, "Share of white pixels (at least 254/255)",
          [](const ChainState& state) { return state.saturated.white; }, result.training.white)}});
  out.push_back(table(result));
  std::vector<std::pair<std::string, std::string>> grids;
  for (const ChainLevel& level : result.levels)
    grids.emplace_back(fmt::format("{}-t{:.0f}", named.name, number(level.t)), level_name(level));
  out.push_back(figures_of(run, grids));
}

Section show(const std::vector<Named<Transition>>& found, const RunFolder& run) {
  Section out{"transition", "Langevin transitions", "Transitions"};
  out.blocks.push_back(
      Text{"States along the chains of each level, decoded as if the chain ended there; a row of a grid is a chain, "
           "from left to right. A level starts where the one above ended. Energy is \u2212\u2211 f / s\u00B2, of the "
           "level's own nets, so curves of different t have different zeros. Over-saturated chains would show as "
           "shares of black or white pixels that keep growing."});
  for (const auto& named : found) add(out.blocks, named, run);
  return out;
}

}  // namespace

SectionSource transition() { return experiment<Transition>({{"transition-"}}, "transition-", show); }

}  // namespace hebm::report
