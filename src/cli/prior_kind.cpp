#include "cli/prior_kind.h"

#include <set>

namespace hebm::cli {

void add_prior_kind(Options& o, std::string* kind, const std::string& help) {
  o.add_choice("prior.kind", kind, {"gaussian", "diffusion", "joint"}, help, Show::kCommon);
}

std::string prior_folder(const std::string& kind) { return kind == "diffusion" ? "prior" : "prior-" + kind; }

std::string train_command_of(const std::string& kind) {
  return kind == "diffusion" ? "hebm_dist train" : "hebm_dist train --prior.kind " + kind;
}

bool belongs_to_kind(const std::string& kind, const std::string& key) {
  static const std::set<std::string> kLevels = {"prior.T", "prior.alpha_cum", "langevin.step_rule", "langevin.step", "langevin.eta", "langevin.by_level"};
  return kind == "diffusion" ? key != "langevin.eta_marginal" : !kLevels.contains(key);
}

}  // namespace hebm::cli
