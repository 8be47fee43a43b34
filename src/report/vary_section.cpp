// results/vary.json and vary-LAYERS.json of `vary`.
#include <algorithm>
#include "report/sections.h"
#include "results/experiments.h"

namespace hebm::report {
namespace {

using results::number;
using results::Vary;

struct SetRow {
  results::VarySet set;
  double num_images;
};

Section show(const std::vector<Named<Vary>>& found, const RunFolder& run) {
  std::vector<SetRow> rows;
  std::vector<std::pair<std::string, std::string>> grids;
  for (const auto& [name, result] : found) {
    for (const results::VarySet& set : result.sets) {
      if (std::any_of(rows.begin(), rows.end(), [&](const SetRow& row) { return row.set.name == set.name; })) continue;
      rows.push_back({set, number(result.num_samples) * number(result.variations)});
      grids.emplace_back("vary-" + set.name, "Free layers: " + set.name);
    }
  }
  if (rows.empty()) return {};
  const std::vector<results::ColumnOf<SetRow>> columns = {
      {words("free layers"), [](const auto& row) { return row.set.name; }},
      {digits("feature distance"), [](const auto& row) { return row.set.feature_distance; }},
      {digits("class changed"), [](const auto& row) { return row.set.class_changed; }},
      {digits("images"), &SetRow::num_images}};
  return {"vary", "Hierarchical sampling", "Layers",
      {Text{"The latent u of the named layers (0 is the top) is drawn anew by the prior, given that of all others, "
            "which is kept. First column of a grid: the kept sample. Distance: of the classifier's features to the "
            "kept sample's, mean; class changed: share of images whose predicted class is another."},
          table_of(tabulate(columns, rows)), figures_of(run, grids)}};
}

}  // namespace

SectionSource vary() { return experiment<Vary>({{"vary", "vary-"}}, "vary-", show); }

}  // namespace hebm::report
