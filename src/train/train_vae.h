// Training of the hierarchical VAE (Sec. 2.1): maximises the ELBO, data parallel over ranks.
// Product: RUN/vae/vae.safetensors. NVAE's batch norm and KL balance look at the whole global
// batch: then a rank takes all its units at once, and results agree for any number of ranks to
// rounding only.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/batch_order.h"
#include "data/dataset.h"
#include "train/elbo.h"
#include "train/net_loop.h"
#include "vae/backbone.h"
#include "vae/batch_statistics.h"

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
  double kl_anneal = 0.3;               // of all updates: the weight grows linearly from 0
  double free_bits = 0.0;               // nats a layer
  double kl_delay = 0.0, kl_min = 0.0;  // see vae::kl_annealed, but updates count from 1
  bool kl_balance = false;
  double spectral = 0.0, spectral_start = 0.0;
  double eps = 1e-8, weight_decay = 0.0;
  bool binarise = false, data_init = false;
  double ema = 0.99;
  double clip_norm = 200.0;
  std::int64_t checkpoint_every = 200, keep = 2, log_every = 20;
  bool deterministic = false;
  void describe(Options& options);
};

std::int64_t vae_updates(const VaeTrainOptions& options, std::size_t num_images);  // of all epochs
std::filesystem::path vae_file(const std::filesystem::path& run_directory);        // RUN/vae/vae.safetensors

class VaeTrainer {
 public:
  // identity: the settings that made the weights. The backbone holds its starting weights; after
  // kDone it holds the averaged ones.
  VaeTrainer(const VaeTrainOptions& options, vae::Backbone& backbone, const data::Dataset& dataset, std::uint64_t seed,
             const std::filesystem::path& run_directory, nlohmann::json identity, comm::Communicator& comm,
             Logger& logger);

  // From the newest checkpoint to the product; when the product is there already, only says so (and
  // loads nothing).
  Outcome run(const StopFlag* stop);
  bool save_failed() const { return loop_.save_failed(); }
  std::int64_t update_count() const { return loop_.update_count(); }
  std::int64_t num_updates() const { return num_updates_; }

 private:
  struct Batch {
    at::Tensor x, eps;  // [b, C, H, W], [b, D]
  };
  Batch load(std::int64_t update, std::uint32_t attempt, std::int64_t first_unit, std::int64_t last_unit) const;
  NetLoopOptions loop_options();
  void prepare();
  void learn(const UpdatePlace& place, std::int64_t first, std::int64_t last, std::span<double> sums);
  std::vector<double> layer_weights(const UpdatePlace& place, const vae::Posterior& q) const;
  double annealed(const UpdatePlace& place) const;
  double spectral_weight(const UpdatePlace& place) const;
  storage::Scalars describe(const UpdatePlace& place, std::span<const double> sums) const;
  void adopt_averaged();
  void publish();

  VaeTrainOptions options_;
  vae::Backbone& backbone_;
  std::unique_ptr<vae::BatchStatistics> nvae_;  // null: a backbone without batch norm
  ImageInput input_;
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
  std::vector<double> shares_;  // of the KL balance, by layer
  NetLoop loop_;
};

}  // namespace hebm::train
