// Hierarchical sampling (Fig. 2), results/vary.json and vary-LAYERS.json of `vary`.
#include <set>
#include "report/sections.h"

namespace hebm::report {
namespace {

struct VarySet {
  std::string name;
  double feature_distance = results::kUnknown, class_changed = results::kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "feature_distance", s.feature_distance, "class_changed", s.class_changed);
  }
};
struct Varied {
  results::Count num_samples, variations;
  std::vector<VarySet> sets;
  static void fields(auto& s, auto& visit) {
    visit("num_samples", s.num_samples, "variations", s.variations, "sets", s.sets);
  }
};

Blocks show(const std::vector<Named<Varied>>& found, const RunFolder& run) {
  results::Table sets{{words("free layers"), digits("feature distance"), digits("class changed"), digits("images")}};
  std::vector<std::pair<std::string, std::string>> grids;
  std::set<std::string> seen;
  for (const auto& [name, result] : found) {
    for (const VarySet& set : result.sets) {
      if (!seen.insert(set.name).second) continue;
      sets.rows.push_back({set.name, set.feature_distance, set.class_changed,
          results::number(result.num_samples) * results::number(result.variations)});
      grids.emplace_back("vary-" + set.name, "Free layers: " + set.name);
    }
  }
  if (grids.empty()) return {};
  return {Text{"The latent u of the named layers (0 is the top) is drawn anew by the prior, given that of all others, "
               "which is kept. First column of a grid: the kept sample. Distance: of the classifier's features to the "
               "kept sample's, mean; class changed: share of images whose predicted class is another."},
      table_of(sets), figures_of(run, grids)};
}

}  // namespace

template <> SectionSource section<"vary">() {
  return experiment<Varied>("vary", "Hierarchical sampling", "Layers", {{"vary", "vary-"}}, "vary-", show);
}

}  // namespace hebm::report
