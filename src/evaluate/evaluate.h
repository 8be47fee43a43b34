// Scores of priors and reconstructions on one data set: fd_fmnist (Frechet distance of the
// classifier's features, float64), KID, precision and recall, gap closed; and the score by level.
// Work is shared by chunks over ranks; sums stream.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "nets/feature_net.h"
#include "prior/langevin.h"
#include "prior/potential.h"
#include "results/summary.h"
#include "vae/backbone.h"

namespace hebm {
class Options;
}

namespace hebm::evaluate {

struct EvaluateOptions {
  std::int64_t num_images = 5000, chunk = 100;
  bool by_level = false;
  std::int64_t level_images = 2000;  // of by_level
  std::vector<double> temperatures;  // of the final decode, for Gaussian and diffusion prior; empty: not measured
  std::int64_t temperature_images = 2000;
  std::int64_t neighbours = 3;  // of precision and recall
  std::int64_t seed = 2;        // of Gaussian samples, reconstruction noise and KID's subsets
  void describe(Options& options);
};

// Backbone, classifier and prior are on one device, where images are made and looked at; scores are
// computed on the host.
struct EvaluateInputs {
  const data::Dataset& dataset;
  const vae::Backbone& backbone;
  const nets::LoadedFeatureNet& features;
  std::filesystem::path samples;              // samples.h5 of `sample`
  const prior::EnergyPrior* prior = nullptr;  // for by_level and temperatures
  prior::LangevinOptions langevin;
};

// Collective; the result is rank 0's.
results::Summary evaluate(const EvaluateOptions& options, const EvaluateInputs& inputs, comm::Communicator& comm,
    Logger& logger, const std::filesystem::path& picture_directory);

}  // namespace hebm::evaluate
