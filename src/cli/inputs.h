// What commands read: data set, artifacts of earlier commands; and how an outcome becomes an exit
// code.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
#include "cli/context.h"
#include "data/dataset.h"
#include "prior/prior_file.h"
#include "train/training_loop.h"
#include "vae/make_backbone.h"

namespace hebm::cli {

data::Dataset open_dataset(const RunOptions& run);  // Error(kUsage) where it is not there

// What an artifact of this prior.kind depends on: the options in the fingerprint (base/options.h),
// key -> value text.
nlohmann::json fingerprint_of(const Options& options, const PriorKind& kind = default_prior_kind());
// And the seed and the images.
nlohmann::json fingerprint_of(const Options& options, const RunOptions& run, const data::Dataset& dataset,
    const PriorKind& kind = default_prior_kind());

// --dry-run, where the data set need not be there yet: the backbone that the options give,
// without weights where it can be. The image's shape is the data set's, else that of the options.
std::unique_ptr<vae::Backbone> planned_backbone(const RunOptions& run, const vae::BackboneOptions& options);
// "parameters: ...", "latents: ...", "layers, top first: 5 of 20x4x4, 10 of 20x8x8"; before them
// which file is missing, where it is planned.
Lines describe_backbone(const vae::Backbone& backbone, const std::filesystem::path& missing = {});

// The VAE of a run: run.vae, or with vae.bn_readjust its re-estimated copy
// RUN/vae/vae-readjusted.safetensors (a file that is such a copy already is taken as it is).
struct RunVae {
  std::filesystem::path file;
  std::unique_ptr<vae::Backbone> backbone;
  std::string hash;
};
// Error(kUsage) when a file is not there, naming the command that makes it, or when the copy is of
// another VAE or number.
RunVae open_vae(const RunOptions& run);
// What it is read from: the VAE, and the copy where one is asked for.
std::vector<std::filesystem::path> vae_files(const RunOptions& run);
// Makes the copy where one is asked for and not there: train-vae, at its end, and encode.
// Collective.
void readjust_where_asked(const RunOptions& run, Context& context);

// A setting of the prior's training; none: not known, as of an imported prior.
std::optional<std::string> trained_with(const prior::PriorInfo& prior, const std::string& key);
// Error(kUsage) naming what the chains have otherwise than those that the prior was trained with:
// where they start, K, and the step, which its nets' scale hangs on. But for what may differ, and
// what is not known of an imported prior.
struct MayDiffer {
  bool steps = false;  // K
};
void expect_same_chains(const Options& options, const prior::PriorInfo& prior, MayDiffer may);
// Says which langevin.* differ from those that the prior was trained with.
void note_other_langevin(const Options& options, const prior::LoadedPrior& prior, Logger& logger);

// --dry-run, where earlier commands' artifacts are not there yet: one line a missing file.
Lines missing_lines(const std::vector<std::filesystem::path>& files);

int exit_code(const train::TrainingResult& result);

}  // namespace hebm::cli
