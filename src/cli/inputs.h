// What commands read: data set, products of earlier commands; and how an outcome becomes an exit
// code.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "data/dataset.h"
#include "nets/feature_net.h"
#include "prior/prior_file.h"
#include "train/training_loop.h"
#include "vae/make_backbone.h"

namespace hebm::cli {

std::filesystem::path dataset_path(const RunOptions& run);
void require_dataset(const RunOptions& run);  // Error(kUsage) where it is not there
data::Dataset open_dataset(const RunOptions& run);

// The settings a product depends on: options under the prefixes (but for intervals of checkpoints
// and logs), seed, images.
nlohmann::json product_identity(const Options& options, const std::vector<std::string>& prefixes, std::int64_t seed,
                                const data::Dataset& dataset, const std::string& kind = "diffusion");

// --dry-run, where the data set need not be there yet: the backbone that the options give, of NVAE
// without weights. The image's shape is the data set's, else nvae.side and nvae.image_channels.
std::unique_ptr<vae::Backbone> planned_backbone(const RunOptions& run, const vae::BackboneOptions& options);
// "parameters: ...", "latents: ...", "layers, top first: 5 of 20x4x4, 10 of 20x8x8".
std::vector<std::string> describe_backbone(const vae::Backbone& backbone);

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
// Whether open_vae finds its file: the VAE, or the copy that is asked for.
bool vae_is_there(const RunOptions& run);
// Makes the copy where one is asked for and not there: train-vae, at its end, and encode.
// Collective.
void readjust_where_asked(const RunOptions& run, Context& context);

// What the experiments on a trained prior read. Error(kUsage) for the first that is not there,
// naming the command that makes it.
struct Experiment {
  data::Dataset dataset;
  RunVae vae;
  nets::LoadedFeatureNet features;
  prior::LoadedPrior prior;
  void to(at::Device device) const;  // all nets
};
Experiment open_experiment(const RunOptions& run, const std::string& prior_made_by = "hebm_dist train");
// Of the files that open_experiment reads, those that are not there: missing_lines for --dry-run.
std::vector<std::string> missing_for_experiment(const RunOptions& run);
// The options under the prefixes, with K of the chains that draw, and the hashes of all that is
// read.
nlohmann::json experiment_identity(const Options& options, const std::vector<std::string>& prefixes,
                                   const prior::LangevinOptions& drawing, const RunOptions& run,
                                   const Experiment& files);

// Says which langevin.* differ from those that the prior was trained with. drawing: its steps are K
// of the chains that draw.
void note_other_langevin(const Options& options, const prior::LangevinOptions& drawing, const prior::LoadedPrior& prior,
                         Logger& logger);

// The result in `file` where it was made with this identity, else make()'s, which is written there
// with it. Collective.
nlohmann::json kept_result(const std::filesystem::path& file, const nlohmann::json& identity, Context& context,
                           const std::function<nlohmann::json()>& make);

// --dry-run, where earlier commands' products are not there yet: one line a missing file.
std::vector<std::string> missing_lines(const std::vector<std::filesystem::path>& files);

int exit_code(train::Outcome outcome, bool save_failed);

}  // namespace hebm::cli
