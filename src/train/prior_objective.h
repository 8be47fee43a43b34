// What the training of a prior of any kind has: options and inputs.
#pragma once
#include <array>
#include <cstdint>
#include <vector>
#include "prior/potential.h"
#include "train/latent_source.h"
#include "train/training_loop.h"

namespace hebm::train {

// What shares a diffusion step t.
enum class Levels { kMicroBatch, kImage };
constexpr std::array<Choice<Levels>, 2> choices_of(Levels) {
  return {{{"unit", Levels::kMicroBatch}, {"image", Levels::kImage}}};
}
// Whose chains the negatives come from: the data's u_{t+1} (Alg. 1), or the chain that draws
// (Alg. 2), all levels in each micro-batch (reverse_training.cpp).
enum class TrainingChain { kReverse, kData };
constexpr std::array<Choice<TrainingChain>, 2> choices_of(TrainingChain) {
  return {{{"reverse", TrainingChain::kReverse}, {"data", TrainingChain::kData}}};
}
// Where u_0 comes from (latent_source.h).
enum class Source { kCache, kOnline };
constexpr std::array<Choice<Source>, 2> choices_of(Source) {
  return {{{"cache", Source::kCache}, {"online", Source::kOnline}}};
}

// train.*, of a prior of any kind.
struct PriorTrainOptions : LoopOptions {
  PriorTrainOptions();
  prior::LevelWeight level_weight = prior::LevelWeight::kFlat;
  double l2 = 0.0;
  Levels levels = Levels::kMicroBatch;
  TrainingChain chain = TrainingChain::kData;
  std::int64_t reverse_from = 0;  // of kReverse: updates on the data's chains before it
  Source source = Source::kCache;
  std::int64_t preview_every = 100, export_every = 0;  // updates; 0: none
  std::int64_t seed = -1;                              // of nets, batches, noise; -1: run.seed
  bool only_zero = false;                              // t = 0 alone; the other levels' nets stay (couple)
  double divergence_factor = 50.0;
  void describe(Options& options);
  // How many of the first `updates` are on the reverse chain; chains of an image that these run, of
  // so many levels.
  std::int64_t reverse_updates(std::int64_t updates) const;
  double chains(std::int64_t updates, std::int64_t levels) const {
    return static_cast<double>(updates) + static_cast<double>(reverse_updates(updates) * (levels - 1));
  }
  // What a trainer of these nets on so many ranks would refuse: Error(kUsage).
  void expect_possible(bool per_level, int num_ranks) const;
};

// Nets and backbone are on one device; references must outlive the objective.
struct PriorInputs {
  prior::EnergyPrior& prior;
  const prior::EnergyOptions& energy;  // its power iterations
  const vae::Backbone& backbone;
  prior::LangevinOptions langevin;
  std::uint64_t seed;
  MakeSource make_source;
};
std::vector<Bucket> buckets_of(prior::EnergyPrior& prior);

}  // namespace hebm::train
