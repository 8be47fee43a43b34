// The priors on one backbone beside each other, as in the paper's Table 1: scores, seconds and
// gradient evaluations (`evaluate --all`).
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "evaluate/evaluate.h"
#include "nets/feature_net.h"
#include "results/summary.h"
#include "vae/backbone.h"

namespace hebm::evaluate {

// Gradients of all nets at one image, in training: updates x batch x (K of a chain, none for nce, +
// one for each half of the loss). identity: that of the prior's file, whose values are text;
// without the settings (an imported prior) nothing.
std::optional<std::int64_t> training_gradients(bool by_chains, const nlohmann::json& identity);

// What one image costs in sampling: gradients of all nets, and evaluations of all nets without
// gradient. samples: the identity of samples.h5.
struct SamplingCost {
  std::optional<std::int64_t> gradients;  // T K; K for one level; none by resampling
  std::int64_t evaluations = 0;           // M by resampling
};
SamplingCost sampling_cost(std::optional<std::int64_t> num_levels, const nlohmann::json& samples);

// A row of the table.
struct PriorSamples {
  std::string name;            // "Joint EBM, s^2 = 0.02"
  std::filesystem::path file;  // samples.h5
  results::PriorAbout about;
};
// Collective; the result is rank 0's: the Gaussian prior, reconstructions, then `samples` in their
// order.
results::Priors evaluate_priors(const EvaluateOptions& options, const data::Dataset& dataset,
    const vae::Backbone& backbone, const nets::LoadedFeatureNet& features, const std::vector<PriorSamples>& samples,
    comm::Communicator& comm, Logger& logger);

}  // namespace hebm::evaluate
