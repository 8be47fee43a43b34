// Training of the hierarchical VAE (Sec. 2.1): maximises the ELBO, data parallel over ranks.
// Artifact: RUN/vae/vae.safetensors. A rank computes several of its micro-batches together
// (images_at_once), all of them where NVAE's batch norm or KL balance looks at the whole batch:
// results agree for any number of ranks to rounding, with `deterministic` to the bit.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "data/dataset.h"
#include "train/training_loop.h"
#include "vae/backbone.h"

namespace hebm::train {

// Of nets::RateKind those that need no decay, under their names there.
enum class SmoothRate { kConstant, kLinear, kCosine };
constexpr std::array<Choice<SmoothRate>, 3> choices_of(SmoothRate) {
  return {{{"constant", SmoothRate::kConstant}, {"linear", SmoothRate::kLinear}, {"cosine", SmoothRate::kCosine}}};
}

struct VaeTrainOptions : LoopOptions {
  VaeTrainOptions();
  double epochs = 3.0;
  SmoothRate schedule = SmoothRate::kCosine;
  double kl_weight = 0.15;
  double kl_anneal = 0.3;               // of all updates: the weight grows linearly from 0
  double free_bits = 0.0;               // nats a layer
  double kl_delay = 0.0, kl_min = 0.0;  // see vae::kl_annealed, but updates count from 1
  bool kl_balance = false;
  std::vector<double> kl_targets;  // nats by layer: their weights follow (vae/kl_target.h); empty: kl_weight
  double kl_ramp = 0.3;            // of all updates, see there
  double spectral = 0.0, spectral_start = 0.0;
  bool binarise = false, data_init = false;
  bool recompute = false;
  std::int64_t images_at_once = 0;
  // A rank takes all its micro-batches at once. has_statistics: of the backbone.
  bool at_whole_batch(bool has_statistics) const { return has_statistics || kl_balance; }
  // Of a rank with enough of them: whole micro-batches.
  std::int64_t together(const ImageShape& image) const;
  // What a training on so many ranks would refuse: Error(kUsage).
  void expect_possible(std::size_t num_layers, bool has_statistics, int num_ranks) const;
  void describe(Options& options);
};

std::int64_t vae_updates(const VaeTrainOptions& options, std::size_t num_images);  // of all epochs

// From the newest checkpoint to RUN/vae/vae.safetensors; run.directory is RUN/vae. When the file is
// there already, only says so (and loads nothing). The backbone holds its starting weights; after
// kDone it holds the averaged ones.
TrainingResult train_vae(VaeTrainOptions options, vae::Backbone& backbone, const data::Dataset& dataset,
    std::uint64_t seed, const TrainingRun& run);

}  // namespace hebm::train
