// Training of the hierarchical VAE (Sec. 2.1): maximises the ELBO, data parallel over ranks. Product:
// RUN/vae/vae.safetensors.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/batch_order.h"
#include "data/dataset.h"
#include "train/net_loop.h"
#include "vae/backbone.h"

namespace hebm {
class Options;
}

namespace hebm::train {

struct VaeTrainOptions {
  double epochs = 5.0;
  std::int64_t batch = 128, micro_batch = 64;  // batch is global
  double learning_rate = 2e-3;
  std::string schedule = "cosine";
  double final_fraction = 0.05;
  std::int64_t warmup = 50;
  double kl_weight = 0.15;
  double kl_anneal = 0.3;  // of all updates: the weight grows linearly from 0
  double free_bits = 0.0;  // nats a layer
  double ema = 0.99;
  double clip_norm = 200.0;
  std::int64_t checkpoint_every = 200, keep = 2, log_every = 20;
  bool deterministic = false;
  void describe(Options& options);
};

std::filesystem::path vae_file(const std::filesystem::path& run_directory);  // RUN/vae/vae.safetensors

class VaeTrainer {
 public:
  // identity: the settings that made the weights. The backbone holds its starting weights; after kDone it holds the
  // averaged ones.
  VaeTrainer(const VaeTrainOptions& options, vae::Backbone& backbone, const data::Dataset& dataset, std::uint64_t seed,
             const std::filesystem::path& run_directory, nlohmann::json identity, comm::Communicator& comm,
             Logger& logger);

  // From the newest checkpoint to the product; when the product is there already, only says so (and loads nothing).
  Outcome run(const StopFlag* stop);
  bool save_failed() const { return loop_.save_failed(); }
  std::int64_t update_count() const { return loop_.update_count(); }
  std::int64_t num_updates() const { return num_updates_; }

 private:
  void learn(const UpdatePlace& place, std::int64_t unit, std::span<double> sums);
  storage::Scalars describe(const UpdatePlace& place, std::span<const double> sums) const;
  double kl_weight(const UpdatePlace& place) const;
  void publish();

  VaeTrainOptions options_;
  vae::Backbone& backbone_;
  const data::Dataset& dataset_;
  const std::vector<std::int64_t>& images_;  // of the train split
  std::uint64_t seed_;
  std::filesystem::path product_;
  nlohmann::json identity_;
  comm::Communicator& comm_;
  Logger& logger_;
  MicroBatches units_;
  data::BatchOrder order_;
  std::int64_t num_updates_;
  NetLoop loop_;
};

// ELBO of the test images [0, count) by fixed chunks, one draw each: the same numbers for any number of ranks.
// Collective.
struct Elbo {
  double log_likelihood = 0;  // nats an image
  std::vector<double> kl;     // by layer, nats an image
  std::int64_t num_images = 0;
  double value() const;  // log_likelihood - sum of kl
  nlohmann::json to_json() const;
};
Elbo measure_elbo(const vae::Backbone& backbone, const data::Dataset& dataset, data::Split split, std::int64_t count,
                  std::uint64_t seed, comm::Communicator& comm);

}  // namespace hebm::train
