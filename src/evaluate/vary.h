// Hierarchical sampling (Sec. 5.1, Fig. 2): the u of some latent layers is kept from a sample, that
// of the others is drawn by the prior given what is kept. Eq. 10 with the kept layers conditioned
// on: at level t they stand at u_t of one draw of Eq. 7 from their u_0, the Langevin chain (Eq. 13)
// moves only the free layers, and at the end the kept ones are u_0 itself, bit by bit.
#pragma once
#include "evaluate/experiment.h"
#include "prior/reverse_chain.h"
#include "results/experiments.h"

namespace hebm::evaluate {

struct VaryOptions {
  std::int64_t num_samples = 100, variations = 8, chunk = 100;
  std::int64_t rows = 8;  // samples of a grid
  std::int64_t seed = 1;
  void describe(Options& options);
};

// Layers that are drawn anew, top first: i = 0 is the top layer.
using FreeLayers = std::vector<std::int64_t>;
// Each layer alone, then all of them (for one layer: itself).
std::vector<FreeLayers> default_free_layers(std::int64_t num_layers);
// "0-2"; "all" for all of them.
std::string layers_name(const FreeLayers& free, std::int64_t num_layers);

// u_0 [B, D] of samples; ids: visit 0 is the sample's own, another visit a variation of it. Returns
// u_0 of the variations.
at::Tensor vary_layers(const prior::ReverseChain& chain, const prior::Schedule& schedule, const at::Tensor& u0,
    const FreeLayers& free, std::int64_t num_layers, const prior::ChainIds& ids);

// Collective. Samples are chains 0, 1, ... of Alg. 2 (with sample.seed and sample.chunk those of
// `sample`), each with `variations` draws a set. Of all variations: mean distance of the
// classifier's 128 features to the kept sample's, and share whose predicted class is another; on
// rank 0. Grids (rows: samples, first column kept): directory/vary-NAME.png.
results::Vary vary(const VaryOptions& options, const std::vector<FreeLayers>& sets, const ExperimentInputs& inputs,
    comm::Communicator& comm, Logger& logger, const std::filesystem::path& directory);

}  // namespace hebm::evaluate
