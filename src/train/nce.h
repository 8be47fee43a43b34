// The classifiers of the NCE prior (prior/nce.h): posterior against prior samples of every layer.
// No chains: one pass of the nets over both an update. Of the options, train.levels, level_weight,
// l2, divergence_factor and the previews mean nothing here.
#pragma once
#include <memory>
#include "train/diffusion.h"

namespace hebm::train {

// in.prior: of make_marginal_schedule(); in.langevin is not looked at.
std::unique_ptr<Objective> make_nce(const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run);

}  // namespace hebm::train
