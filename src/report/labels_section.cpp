// Priors that know labels: results/labels-NAME.json (Fig. 5) and compose-NAME.json (Fig. 4).
#include <fmt/format.h>
#include <fmt/ranges.h>
#include "report/html.h"
#include "report/sections.h"
#include "results/experiments.h"

namespace hebm::report {
namespace {

using results::Compose;
using results::LabelCategory;
using results::Labels;
using results::number;

std::string after_dash(const std::string& name) { return name.substr(name.find('-') + 1); }

std::string joined(const std::vector<std::int64_t>& layers) { return fmt::format("{}", fmt::join(layers, ",")); }

struct HeadRow {
  std::string prior;
  results::LabelHead head;
};

Table heads_table(const std::vector<HeadRow>& rows) {
  const std::vector<results::ColumnOf<HeadRow>> columns = {{words("prior"), &HeadRow::prior},
      {words("label"), [](const auto& row) { return row.head.name; }},
      {words("layers"), [](const auto& row) { return joined(row.head.layers); }},
      {digits("p(y | u_0)"), [](const auto& row) { return row.head.test.accuracy; }},
      {digits("reader"), [](const auto& row) { return row.head.test.reader_accuracy; }},
      {digits("drawn as asked"), [](const auto& row) { return row.head.drawn.accuracy; }},
      {digits("by p(y | u_0)"), [](const auto& row) { return row.head.drawn.own_accuracy; }},
      {digits("fd_fmnist"), [](const auto& row) { return row.head.drawn.fd_fmnist; }},
      {digits("ratio"), [](const auto& row) { return row.head.drawn.fd_fmnist_ratio; }},
      {digits("imbalance"), [](const auto& row) { return row.head.imbalance_without_label; }}};
  return table_of(tabulate(columns, rows));
}

Table categories_table(const std::vector<LabelCategory>& rows) {
  return table_of(tabulate<LabelCategory>(
      {{words("category"), &LabelCategory::category}, {digits("drawn as asked"), &LabelCategory::accuracy},
          {digits("share without label"), &LabelCategory::share_without_label},
          {digits("share of test images"), &LabelCategory::share_of_test_images}},
      rows));
}

Section show_labels(const std::vector<Named<Labels>>& found, const RunFolder& run) {
  std::vector<HeadRow> rows;
  Blocks details;
  for (const auto& [name, result] : found) {
    for (const results::LabelHead& head : result.heads) {
      rows.push_back({after_dash(name), head});
      details.push_back(Heading{fmt::format("{}: {}, layers {}", rows.back().prior, head.name, joined(head.layers))});
      if (!head.by_category.empty()) details.push_back(categories_table(head.by_category));
      details.push_back(figures_of(run, {{name + "-" + head.name, "A row a category, in the table's order"}}));
    }
  }
  if (rows.empty()) return {};
  Section out{"labels", "Labels", "Labels"};
  out.blocks = {
      Text{"Priors coupled with labels at t = 0. p(y | u_0): share of test images whose likeliest category is right; "
           "reader: the same for the classifier of the scores, or the rule that measures an attribute, which knows "
           "nothing of the prior. Drawn as asked: share of images drawn for a category in which the reader sees it; by "
           "p(y | u_0): in which the prior itself does. Ratio: score of these images over that of images drawn without "
           "a label. Imbalance: half the sum of the differences between categories' shares without a label and among "
           "test images."},
      heads_table(rows)};
  append(out.blocks, details);
  return out;
}

struct StepLabel {
  const results::ComposeStep* step;
  results::ComposeLabel label;
};

Table steps_table(const Compose& result) {
  std::vector<StepLabel> rows;
  for (const auto& step : result.steps) {
    for (const auto& label : step.labels) rows.push_back({&step, label});
  }
  const std::vector<results::ColumnOf<StepLabel>> columns = {
      {digits("step"), [](const auto& row) { return number(row.step->step); }},
      {words("held layers"), [](const auto& row) { return joined(row.step->held_layers); }},
      {words("label"), [](const auto& row) { return row.label.name; }},
      {digits("asked in step"), [](const auto& row) { return number(row.label.asked_in_step); }},
      {digits("accuracy"), [](const auto& row) { return row.label.accuracy; }},
      {digits("kept"), [](const auto& row) { return row.label.kept; }},
      {digits("fd_fmnist"), [](const auto& row) { return row.step->fd_fmnist; }}};
  return table_of(tabulate(columns, rows));
}

// "trousers, bright; ..." by row.
std::string grid_caption(const Compose& result) {
  std::vector<std::string> rows;
  for (const auto& row : result.grid) {
    std::vector<std::string> asked;
    for (const auto& [name, category] : row) asked.push_back(name + " " + category);
    rows.push_back(fmt::format("{}", fmt::join(asked, ", ")));
  }
  return fmt::format("A row an image, a column a step. Asked for, row by row: {}", fmt::join(rows, "; "));
}

Section show_compose(const std::vector<Named<Compose>>& found, const RunFolder& run) {
  Section out{"compose", "Attributes step by step", "Attributes"};
  out.blocks.push_back(
      Text{"The first step draws all layers with its label; each later one holds the layers of the labels before it "
           "and draws the others anew with its own. Accuracy: share of images in which the reader sees what was asked "
           "for, after the step; of labels that are asked for later it is chance. Kept: of the images that showed "
           "their category after its own step, those that still do."});
  for (const auto& [name, result] : found) {
    out.blocks.push_back(
        Heading{fmt::format("{}, {} images", after_dash(name), format_number(number(result.num_samples)))});
    out.blocks.push_back(steps_table(result));
    out.blocks.push_back(figures_of(run, {{name, grid_caption(result)}}));
  }
  return out;
}

}  // namespace

SectionSource labels() { return experiment<Labels>({{"labels-"}}, "labels-", show_labels); }
SectionSource compose() { return experiment<Compose>({{"compose-"}}, "compose-", show_compose); }

}  // namespace hebm::report
