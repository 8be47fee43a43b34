// What `evaluate --all` compares: the samples of a run and of others on the same VAE, and what they
// cost.
#pragma once
#include <string>
#include <vector>
#include "cli/context.h"
#include "evaluate/priors.h"

namespace hebm::cli {

// Of the run itself and of `others` ("DIR,DIR"), every samples file of PriorKind::samples, the
// diffusion's last and by T. What a prior was trained with comes from its file beside them; without
// it (drawn with run.prior) T and gradients stay unknown. Error(kUsage): no samples at all or in one
// of `others`, samples of another VAE than vae_hash, or of another prior than the one beside them.
std::vector<evaluate::PriorSamples> find_prior_samples(
    const RunOptions& run, const std::string& others, const std::string& vae_hash);

}  // namespace hebm::cli
