// What `train` and `couple` share around the trainer: where u_0 comes from, and the averaged
// weights.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "cli/command.h"
#include "cli/inputs.h"
#include "encode/encode.h"
#include "nets/optimiser.h"
#include "train/diffusion.h"
#include "train/training_loop.h"

namespace hebm::cli {

// With train.source = cache: the run's cache, which must be that of these images, VAE and seed.
// Collective.
std::optional<data::LatentCache> training_cache(const train::PriorTrainOptions& training, const RunPaths& paths,
                                                const encode::EncodeOptions& encoding, const data::Dataset& dataset,
                                                const RunVae& vae, std::uint64_t seed, Context& context);

// The averaged weights are in all nets while it lives.
std::vector<std::unique_ptr<nets::WithEma>> averaged_weights(prior::EnergyPrior& prior,
                                                             const train::TrainingLoop& loop);

}  // namespace hebm::cli
