#include "results/hierarchy.h"
#include <fmt/format.h>
#include "results/table.h"

namespace hebm::results {

std::string text_of(const Hierarchy& result) {
  Table out{{{"layer", "{:.0f}"}, {"latents", "", 10}, {"KL, nats", "{:.2f}", 9}, {"share", "{:.3f}", 6},
      {"variance", "{:.2f}", 9}, {"probe", "{:.3f}", 6}, {"class changed", "{:.3f}", 14}, {"distance", "{:.3f}", 9},
      {"below drawn: changed", "{:.3f}", 21}}};
  for (const HierarchyLayer& l : result.layers) {
    const auto shape = fmt::format("{}x{}x{}", l.channels.value_or(0), l.side.value_or(0), l.side.value_or(0));
    out.rows.push_back({number(l.layer), shape, l.kl, l.kl_share, l.variance, l.probe_accuracy, l.class_changed,
        l.feature_distance, l.below_drawn_class_changed});
  }
  return text(out) + fmt::format("fd_fmnist: reconstruction {:.2f}, Gaussian prior {:.2f}, ratio {:.4f}\n",
                         result.fd_reconstruction, result.fd_gaussian, result.reconstruction_of_gaussian);
}

}  // namespace hebm::results
