// The training of the NCE prior's classifiers (prior/nce.h).
#pragma once
#include <memory>
#include "train/prior_objective.h"

namespace hebm::train {

// Posterior against prior samples of every layer, no chains. Of the options, levels, level_weight,
// l2, divergence_factor and previews mean nothing here; nor does in.langevin. in.prior: of
// make_marginal_schedule().
std::unique_ptr<Objective> make_nce(const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run);

}  // namespace hebm::train
