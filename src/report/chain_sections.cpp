// What the chains do: results/transition-K.json of `transition`; of priors that know labels,
// labels-NAME.json (Fig. 5) and compose-NAME.json (Fig. 4).
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <cmath>
#include <functional>
#include "report/sections.h"
#include "results/experiments.h"

namespace hebm::report {
namespace {

using results::ChainLevel;
using results::ChainState;
using results::number;
using results::Transition;
using Measure = std::function<double(const ChainState&)>;

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
  results::Table ends{{digits("t"), digits("step"), digits("energy"), digits("displacement"), digits("fd_posterior"),
      digits("fd_fmnist"), digits("black pixels"), digits("white pixels")}};
  for (const ChainLevel& level : result.levels) {
    if (level.states.empty()) continue;
    for (const ChainState& s : {level.states.front(), level.states.back()})
      ends.rows.push_back({number(level.t), number(s.k), s.energy, s.displacement, s.fd_posterior, s.fd_fmnist,
          s.saturated.black, s.saturated.white});
  }
  Table out = table_of(ends);
  out.rows.push_back({{{.text = "training images", .span = 6}, number_cell(result.training.black),
      number_cell(result.training.white)}});
  return out;
}

void add(Blocks& out, const Named<Transition>& named, const RunFolder& run) {
  const Transition& result = named.result;
  out.push_back(Heading{fmt::format(
      "{} steps a level, {} chains", format_number(number(result.steps)), format_number(number(result.num_images)))});
  out.push_back(Plots{{plot(result, "Energy, mean", &ChainState::energy),
      plot(result, "Displacement from the level's start, mean", &ChainState::displacement),
      plot(result, "fd_posterior of the decoded states", &ChainState::fd_posterior),
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

Blocks show_transition(const std::vector<Named<Transition>>& found, const RunFolder& run) {
  Blocks out = {
      Text{"States along the chains of each level, decoded as if the chain ended there; a row of a grid is a chain, "
           "from left to right. A level starts where the one above ended. Energy is \u2212\u2211 f / s\u00B2, of the "
           "level's own nets, so curves of different t have different zeros. Over-saturated chains would show as "
           "shares of black or white pixels that keep growing."}};
  for (const auto& named : found) add(out, named, run);
  return out;
}

std::string after_dash(const std::string& name) { return name.substr(name.find('-') + 1); }

std::string joined(const std::vector<std::int64_t>& layers) { return fmt::format("{}", fmt::join(layers, ",")); }

Table categories_table(const std::vector<results::LabelCategory>& rows) {
  results::Table out{
      {words("category"), digits("drawn as asked"), digits("share without label"), digits("share of test images")}};
  for (const auto& row : rows)
    out.rows.push_back({row.category, row.accuracy, row.share_without_label, row.share_of_test_images});
  return table_of(out);
}

Blocks show_labels(const std::vector<Named<results::Labels>>& found, const RunFolder& run) {
  results::Table heads{{words("prior"), words("label"), words("layers"), digits("p(y | u_0)"), digits("reader"),
      digits("drawn as asked"), digits("by p(y | u_0)"), digits("fd_fmnist"), digits("ratio"), digits("imbalance")}};
  Blocks details;
  for (const auto& [name, result] : found) {
    for (const results::LabelHead& head : result.heads) {
      const std::string layers = joined(head.layers);
      heads.rows.push_back(
          {after_dash(name), head.name, layers, head.test.accuracy, head.test.reader_accuracy, head.drawn.accuracy,
              head.drawn.own_accuracy, head.drawn.fd_fmnist, head.drawn.fd_fmnist_ratio, head.imbalance_without_label});
      details.push_back(Heading{fmt::format("{}: {}, layers {}", after_dash(name), head.name, layers)});
      if (!head.by_category.empty()) details.push_back(categories_table(head.by_category));
      details.push_back(figures_of(run, {{name + "-" + head.name, "A row a category, in the table's order"}}));
    }
  }
  if (heads.rows.empty()) return {};
  Blocks out = {
      Text{"Priors coupled with labels at t = 0. p(y | u_0): share of test images whose likeliest category is right; "
           "reader: the same for the classifier of the scores, or the rule that measures an attribute, which knows "
           "nothing of the prior. Drawn as asked: share of images drawn for a category in which the reader sees it; by "
           "p(y | u_0): in which the prior itself does. Ratio: score of these images over that of images drawn without "
           "a label. Imbalance: half the sum of the differences between categories' shares without a label and among "
           "test images."},
      table_of(heads)};
  append(out, details);
  return out;
}

Table steps_table(const results::Compose& result) {
  results::Table out{{digits("step"), words("held layers"), words("label"), digits("asked in step"), digits("accuracy"),
      digits("kept"), digits("fd_fmnist")}};
  for (const auto& step : result.steps) {
    for (const auto& label : step.labels)
      out.rows.push_back({number(step.step), joined(step.held_layers), label.name, number(label.asked_in_step),
          label.accuracy, label.kept, step.fd_fmnist});
  }
  return table_of(out);
}

// "trousers, bright; ..." by row.
std::string grid_caption(const results::Compose& result) {
  std::vector<std::string> rows;
  for (const auto& row : result.grid) {
    std::vector<std::string> asked;
    for (const auto& [name, category] : row) asked.push_back(name + " " + category);
    rows.push_back(fmt::format("{}", fmt::join(asked, ", ")));
  }
  return fmt::format("A row an image, a column a step. Asked for, row by row: {}", fmt::join(rows, "; "));
}

Blocks show_compose(const std::vector<Named<results::Compose>>& found, const RunFolder& run) {
  Blocks out = {
      Text{"The first step draws all layers with its label; each later one holds the layers of the labels before it "
           "and draws the others anew with its own. Accuracy: share of images in which the reader sees what was asked "
           "for, after the step; of labels that are asked for later it is chance. Kept: of the images that showed "
           "their category after its own step, those that still do."}};
  for (const auto& [name, result] : found) {
    out.push_back(Heading{fmt::format("{}, {} images", after_dash(name), format_number(number(result.num_samples)))});
    out.push_back(steps_table(result));
    out.push_back(figures_of(run, {{name, grid_caption(result)}}));
  }
  return out;
}

}  // namespace

template <> SectionSource section<"transition">() {
  return experiment<Transition>(
      "transition", "Langevin transitions", "Transitions", {{"transition-"}}, "transition-", show_transition);
}
template <> SectionSource section<"labels">() {
  return experiment<results::Labels>("labels", "Labels", "Labels", {{"labels-"}}, "labels-", show_labels);
}
template <> SectionSource section<"compose">() {
  return experiment<results::Compose>(
      "compose", "Attributes step by step", "Attributes", {{"compose-"}}, "compose-", show_compose);
}

}  // namespace hebm::report
