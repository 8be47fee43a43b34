// results/hierarchy.json of `hierarchy`: what each latent layer carries.
#include <fmt/format.h>
#include "report/sections.h"
#include "results/hierarchy.h"

namespace hebm::report {
namespace {

using results::Hierarchy, results::HierarchyLayer;

Blocks show(const std::vector<Named<Hierarchy>>& found, const RunFolder&) {
  const Hierarchy& result = found.front().result;
  results::Table layers{{digits("layer"), words("latents"), digits("KL, nats"), digits("share of KL"),
      digits("variance of u"), digits("label probe"), digits("exchanged: class changed"),
      digits("exchanged: feature distance"), digits("below drawn: class changed")}};
  for (const HierarchyLayer& l : result.layers)
    layers.rows.push_back({results::number(l.layer),
        fmt::format("{}x{}x{}", l.channels.value_or(0), l.side.value_or(0), l.side.value_or(0)), l.kl, l.kl_share,
        l.variance, l.probe_accuracy, l.class_changed, l.feature_distance, l.below_drawn_class_changed});
  results::Table scores{{digits("fd_fmnist of reconstructions"), digits("of the Gaussian prior"), digits("ratio")},
      {{result.fd_reconstruction, result.fd_gaussian, result.reconstruction_of_gaussian}}};
  return {Text{"Of test images, without a trained prior; layer 0 is the top. Label probe: accuracy of a small net on "
               "this layer's u alone. Exchanged: this layer's u is another image's; the feature distance is 1 for "
               "another image. Below drawn: this layer and those above are kept, the others are drawn from N(0, I)."},
      table_of(layers), table_of(scores)};
}

}  // namespace

template <> SectionSource section<"hierarchy">() {
  return experiment<Hierarchy>("hierarchy", "Latent hierarchy", "Hierarchy", {{"hierarchy"}}, "", show);
}

}  // namespace hebm::report
