// What `evaluate --all` compares: the samples of a run and of others on the same VAE, and what they
// cost.
#pragma once
#include <filesystem>
#include <string>
#include <vector>
#include "cli/context.h"
#include "evaluate/evaluate.h"

namespace hebm::cli {

// "a,b" -> folders; Error(kUsage) for one that is not there.
std::vector<std::filesystem::path> run_folders(const std::string& list);

// Of the run itself and of `others`, every samples file of PriorKind::samples, the diffusion's last
// and by T. What a
// prior was trained with comes from its file beside them; without it (drawn with run.prior) T and
// gradients stay unknown. Error(kUsage): no samples at all or in one of `others`, samples of
// another VAE than vae_hash, or of another prior than the one beside them.
std::vector<evaluate::PriorSamples> find_prior_samples(
    const RunOptions& run, const std::vector<std::filesystem::path>& others, const std::string& vae_hash);

}  // namespace hebm::cli
