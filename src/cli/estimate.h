// What --dry-run says about sizes: shapes, parameters, disk against free space, and memory a rank,
// from the architecture alone: program + 4 bytes x weights that are only used + 20 bytes x trained
// ones (weight, gradient, two moments, average) + the work at its peak + data set. train-vae's work
// is planned (nets/planned_memory.h); of other commands it is an upper bound.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include "cli/command.h"
#include "data/dataset.h"
#include "nets/parameters.h"
#include "prior/potential.h"
#include "vae/backbone.h"

namespace hebm::cli {

// Of the job that --dry-run, or `sweep plan`, speaks of: HEBM_RANKS, which slurm/submit and
// slurm/sweep read too; 1 without it. Error(kUsage) where it is no number of ranks.
int planned_ranks();

// Outputs of one image's forward, all convolutions taken at this side; linear layers once.
std::int64_t map_values(const nets::Parameters& params, std::int64_t side);
std::int64_t vae_values(const vae::Backbone& backbone);  // taken at half the image's side
// Of one Langevin step of so many images and the loss: what the frozen transport keeps (else 12
// bytes an output at the largest latent side), the largest energy net over positives and negatives,
// u, z, noise and gradients, and the weights as a chain takes them.
std::int64_t chain_bytes(const prior::EnergyPrior& prior, const vae::Backbone& backbone, std::int64_t images);
std::string energy_nets_line(const prior::EnergyPrior& prior);

struct Memory {
  std::int64_t trained = 0, used = 0;   // weights
  std::int64_t values = 0, images = 0;  // of one image; images at a time
  std::int64_t work_bytes = 0;          // of all images at a time; 0: by `values`
  std::int64_t data_bytes = 0;
};
std::string memory_line(const Memory& memory);
// Pixels that a rank keeps in memory (all, up to Dataset::kKeepBytes).
std::int64_t kept_bytes(const data::Dataset& dataset);

// "checkpoints: 3 x 1.2 MiB = 3.6 MiB in runs/a/vae, 5.0 GiB free"; says kNotEnough where it is.
inline constexpr const char* kNotEnough = "NOT ENOUGH";
std::string disk_line(const std::string& what, std::int64_t count, double bytes, const std::filesystem::path& folder);
inline std::int64_t chunks_of(std::int64_t count, std::int64_t chunk) { return (count + chunk - 1) / chunk; }
std::string steps_line(const std::string& what, std::int64_t count, const std::string& each);

struct TrainingCost {
  std::filesystem::path folder;  // of checkpoints and the artifact
  std::int64_t parameters, keep;
  std::int64_t updates, batch, micro_batch;  // updates 0: unknown
  std::string note;                          // what a micro-batch is, beside its images
  Memory memory;                             // beside what is trained
};
// Appends checkpoints (weights, two moments and the average), artifact, updates and memory.
void add_training(Lines& lines, TrainingCost cost);
}  // namespace hebm::cli
