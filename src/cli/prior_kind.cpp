#include "cli/prior_kind.h"

#include <algorithm>
#include <set>
#include <vector>

namespace hebm::cli {
namespace {

std::vector<std::string> kinds() { return {"gaussian", "diffusion", "joint", "nce"}; }

}  // namespace

void add_prior_kind(Options& o, std::string* kind, const std::string& help) {
  o.add_choice("prior.kind", kind, kinds(), help, Show::kCommon);
}

bool is_prior_kind(const std::string& name) {
  const auto all = kinds();
  return std::find(all.begin(), all.end(), name) != all.end();
}

std::string prior_folder(const std::string& kind) { return kind == "diffusion" ? "prior" : "prior-" + kind; }

std::string train_command_of(const std::string& kind) {
  return kind == "diffusion" ? "hebm_dist train" : "hebm_dist train --prior.kind " + kind;
}

bool belongs_to_kind(const std::string& kind, const std::string& key) {
  static const std::set<std::string> kLevels = {"prior.T",       "prior.alpha_cum", "langevin.step_rule",
                                                "langevin.step", "langevin.eta",    "langevin.by_level"};
  static const std::set<std::string> kChains = {"train.levels", "train.level_weight", "train.l2",
                                                "train.divergence_factor", "energy.power_iterations_in_chain"};
  if (key.starts_with("nce.")) return kind == "nce";
  if (kind == "diffusion") return key != "langevin.eta_marginal";
  return !kLevels.contains(key) && !(kind == "nce" && (kChains.contains(key) || key.starts_with("langevin.")));
}

}  // namespace hebm::cli
