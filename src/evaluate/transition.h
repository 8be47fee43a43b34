// Langevin transitions (Sec. 5.4, Fig. 6 and 7): every s-th state of each level's chain of Alg. 2,
// decoded as if the chain had ended there. Shows whether energy, displacement and score change
// smoothly along the chain, and whether a long chain over-saturates images.
#pragma once
#include "evaluate/experiment.h"
#include "results/experiments.h"

namespace hebm::evaluate {

struct TransitionOptions {
  std::int64_t num_images = 1000, chunk = 100;
  std::int64_t every = 0;  // s; 0: a tenth of the steps, rounded up
  std::int64_t rows = 8;   // chains of a grid, at most chunk
  std::int64_t seed = 1;
  void describe(Options& options);
};

// k = 0, s, 2 s, ... and the last, `steps`.
std::vector<std::int64_t> recorded_steps(std::int64_t steps, std::int64_t every);

// Shares of an image's pixels that are nearly black (at most 1/255) and nearly white (at least
// 254/255): x [B, C, H, W] in [0, 1] -> [B, 2].
at::Tensor saturated_shares(const at::Tensor& x);

// Collective. inputs.langevin.steps is K of every level. Energy is -sum_i f_i / s_t^2, displacement
// |u_k - u_0| from the level's start; the result is rank 0's. Grids (rows: chains, columns:
// states): directory/transition-K-tT.png.
results::Transition transition(const TransitionOptions& options, const ExperimentInputs& inputs,
    comm::Communicator& comm, Logger& logger, const std::filesystem::path& directory);

}  // namespace hebm::evaluate
