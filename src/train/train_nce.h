// The classifiers of the NCE prior (prior/nce.h): posterior against prior samples of every layer,
// data parallel over ranks. No chains: one pass of the nets over both an update.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/signals.h"
#include "base/status.h"
#include "comm/communicator.h"
#include "prior/potential.h"
#include "train/latent_source.h"
#include "train/net_loop.h"
#include "train/train_prior.h"
#include "vae/backbone.h"

namespace hebm::train {

// What it trains on and where. Nets and backbone are in one place.
struct NceInputs {
  prior::EnergyPrior& prior;  // of make_marginal_schedule()
  const vae::Backbone& backbone;
  std::int64_t power_iterations;  // an update
  std::uint64_t seed;
  std::filesystem::path directory;
  nlohmann::json identity;
  PriorTrainer::MakeSource make_source;
};

struct NceResult {
  Outcome outcome;
  std::int64_t updates;
  bool save_failed;
};

// From the newest checkpoint to the last update. Of options, train.levels, level_weight, l2,
// divergence_factor and the previews mean nothing here. When it is kDone, the nets hold the
// averaged weights. Collective.
NceResult train_nce(const PriorTrainOptions& options, NceInputs inputs, const StopFlag* stop, comm::Communicator& comm,
                    Logger& logger);

}  // namespace hebm::train
