// results/priors.json of `evaluate --all`.
#include <algorithm>
#include <cmath>
#include "report/sections.h"
#include "results/summary.h"

namespace hebm::report {
namespace {

Section show(const std::vector<Named<results::Priors>>& found, const RunFolder&) {
  results::Priors priors = found.front().result;
  std::erase_if(priors.rows, [](const auto& row) { return !std::isfinite(row.scores.fd()); });
  if (priors.rows.empty()) return {};
  Table table = table_of(results::priors_table(priors));
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    if (priors.rows[r].about.kind == "diffusion") table.rows[r].style = "ours";
  }
  return {"priors", "Priors on one backbone", "Priors",
      {Text{"As the paper's Table 1: the same VAE, latent cache and energy nets, another prior in each row "
            "(`hebm_dist evaluate --all`)."},
          table,
          soft("s / 1,000: seconds for 1,000 images on the ranks that drew them. Gradients: of all energy nets at one "
               "image, in training (K of every chain, one for each half of the loss) and for one sample; (+ M): "
               "evaluations without gradient.")}};
}

}  // namespace

SectionSource priors() { return experiment<results::Priors>({{"priors"}}, "", show); }

}  // namespace hebm::report
