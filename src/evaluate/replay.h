// A recorded case (HDF5) through every stage: posterior, transport, decoder, energy nets, Langevin
// chain, loss and gradients, compared with what the case recorded. Proves an import, or a build on
// a new machine. Names are the case's (docs/formats.md); layer 0 is the top one.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "nets/parameters.h"
#include "prior/potential.h"
#include "storage/hdf5.h"
#include "vae/backbone.h"

namespace hebm::evaluate {

struct ReplayInputs {
  at::Tensor x;                            // [B, C, H, W] in [0, 1]
  at::Tensor posterior_noise, u;           // [B, D]; u: u_t for the decoder and nets, and the chain's u_{t+1}
  std::vector<at::Tensor> langevin_noise;  // [K] of [B, D]
  std::vector<std::int64_t> t;             // [B]
};

// The case is a file from outside: what is absent, or has another type or shape, or is not finite
// is Error(kCorrupt) naming the dataset. Tensors are on the backbone's device.
ReplayInputs read_replay_inputs(
    const storage::H5File& file, const vae::Backbone& backbone, std::int64_t num_levels, at::ScalarType dtype);

// All stages on the inputs' device, where the backbone and the prior must be too, in the case's
// order: schedule/*, posterior_z/i, u0/i, z_of_u/i, logits_of_u, f [L, B], langevin_y/i (after the
// last step), loss, grad/netE{i}/NAME. The chain is the paper's step with this eta; positives are
// z_of_u, negatives z of langevin_y. Uses the nets' gradient buffers.
std::vector<nets::NamedTensor> run_stages(
    const ReplayInputs& inputs, const vae::Backbone& backbone, prior::EnergyPrior& prior, double eta);

struct Comparison {
  std::string dataset;
  double error = 0, bar = 0;                // error: relative to the largest value, or absolute, as its stage's bar is
  bool ok() const { return error <= bar; }  // a NaN is not
};
// Every result against the case. Error(kCorrupt) as above; also where the case has a gradient that
// the nets do not have.
std::vector<Comparison> compare_with_case(const storage::H5File& file, const std::vector<nets::NamedTensor>& results);
bool all_ok(const std::vector<Comparison>& comparisons);

// One line a stage (dataset, error, bar, ok), each with its worst dataset; a gradient's stage is
// its net.
std::string comparison_table(const std::vector<Comparison>& comparisons);
nlohmann::json comparison_json(const std::vector<Comparison>& comparisons);  // every dataset

// Float32 or float64 datasets under their names. Published whole or not at all; an existing file is
// Error(kUsage).
void write_results(const std::filesystem::path& path, const std::vector<nets::NamedTensor>& results);

}  // namespace hebm::evaluate
