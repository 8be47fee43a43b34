// Algorithm 1: learning the energy nets of all layers by maximum likelihood with short Langevin
// chains, data parallel over ranks.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/signals.h"
#include "base/status.h"
#include "comm/communicator.h"
#include "nets/optimiser.h"
#include "prior/forward_pair.h"
#include "prior/langevin.h"
#include "prior/losses.h"
#include "prior/potential.h"
#include "prior/schedule.h"
#include "train/checkpoints.h"
#include "train/divergence.h"
#include "train/gradient_sum.h"
#include "train/label_term.h"
#include "train/latent_source.h"
#include "train/level_sums.h"
#include "train/micro_batches.h"
#include "train/net_loop.h"
#include "train/prior_metrics.h"
#include "train/stragglers.h"

namespace hebm::train {

struct PriorTrainOptions {
  std::int64_t updates = 600;
  std::int64_t batch = 128, micro_batch = 32;  // batch is global
  double learning_rate = 3e-4;
  std::string schedule = "linear";
  double final_fraction = 0.1;
  double decay = 0.9;
  std::int64_t decay_every = 1000;
  std::int64_t warmup = 50;
  double beta1 = 0.9, beta2 = 0.999, weight_decay = 0.0;
  double ema = 0.98;
  prior::LevelWeight level_weight = prior::LevelWeight::kFlat;
  double l2 = 0.0;
  double clip_norm = 0.0;
  std::string levels = "unit";
  bool deterministic = false;
  std::string source = "cache";
  std::int64_t checkpoint_every = 100, keep = 2;
  std::int64_t log_every = 10;
  std::int64_t preview_every = 100;  // updates; 0: none
  std::int64_t export_every = 0;
  std::int64_t seed = -1;  // of nets, batches, noise; -1: run.seed
  bool only_zero = false;  // t = 0 alone: the other levels' nets stay as they are (couple)
  std::int64_t max_rollbacks = 3;
  double divergence_factor = 50.0;
  nets::RateSchedule rate_schedule() const;
  void describe(Options& options);
  // What a trainer of these nets on so many ranks would refuse: Error(kUsage).
  void expect_possible(bool per_level, int num_ranks) const;
};

class PriorTrainer {
 public:
  // Computes where the nets and the backbone are (both in one place). labels: of a prior with label
  // heads, whose label term it adds at t = 0 (Eq. 20); it must outlive the trainer.
  PriorTrainer(const PriorTrainOptions& options, const prior::LangevinOptions& langevin, prior::EnergyPrior& prior,
               const prior::EnergyOptions& energy, const vae::Backbone& backbone, std::uint64_t seed,
               std::filesystem::path directory, nlohmann::json identity, comm::Communicator& comm, Logger& logger,
               const LabelTerm* labels = nullptr);

  using MakeSource = std::function<std::unique_ptr<LatentSource>(const MicroBatches&, std::int64_t first_update)>;
  // Called on every rank after each update, checkpoint included.
  using Observer = std::function<void(std::int64_t update)>;
  // Runs from the newest checkpoint to the last update. Error(kDiverged) when the rollbacks are
  // spent.
  Outcome run(const MakeSource& make_source, const StopFlag& stop, const Observer& observer = {});

  // The averaged weights, for samples and the product.
  const nets::Ema& ema(std::size_t bucket) const { return *emas_.at(bucket); }
  bool save_failed() const { return checkpoints_.save_failed(); }
  std::int64_t update_count() const { return update_; }

 private:
  void update(LatentSource& source);
  bool one_level_a_unit() const { return options_.levels == "unit"; }
  // Local backward passes by bucket, and which buckets any rank works on, in this update.
  std::vector<std::int64_t> plan_update();
  prior::Chains place_chains(const prior::ChainIds& ids, std::int64_t unit) const;
  // dF/du of a chain from its first step on, call by call.
  prior::Gradient chain_gradient(const prior::Chains& chains) const;
  at::Tensor draw_negatives(const prior::Chains& chains, const prior::NoisyPair& pair);
  // Level of a unit of work, where its images share one.
  std::int64_t unit_level(std::int64_t unit) const;
  // f of z's positives and negatives, [2 B], and g of the label heads, differentiable in the net's
  // parameters. z, t: of both.
  prior::EnergyNet::Outputs energies(std::size_t bucket, const at::Tensor& z, const at::Tensor& t) const;
  void learn(const prior::ChainIds& ids, const prior::Chains& chains, const prior::NoisyPair& pair,
             const at::Tensor& negatives);
  // Eq. 20 at t = 0: the layers' losses and the label heads' as one graph.
  void learn_labelled(const at::Tensor& layers_loss, const std::vector<at::Tensor>& outputs, const prior::ChainIds& ids,
                      const prior::Chains& chains, const at::Tensor& weights);
  void read_statistics();
  void apply_gradients();
  std::string judge();
  void roll_back(const TrainingState& live, const std::string& why);
  void adopt(const CheckpointInfo& found);
  std::string progress_text() const;
  storage::Scalars named_norms() const;
  void log_update(const LatentSource& source);
  void open_metrics();
  void flush_metrics();
  TrainingState state() const;
  CheckpointInfo info() const;

  PriorTrainOptions options_;
  prior::LangevinOptions langevin_;
  prior::EnergyPrior& prior_;
  std::int64_t power_iterations_;
  bool power_in_chain_;
  at::Device device_;
  const vae::Backbone& backbone_;
  std::uint64_t seed_;
  std::filesystem::path directory_;
  comm::Communicator& comm_;
  Logger& logger_;
  const LabelTerm* labels_;  // or null
  prior::Schedule schedule_;
  std::vector<prior::StepCoefficients> coefficients_;
  std::vector<double> level_weights_, step_variances_;
  at::Tensor weight_of_level_, variance_of_level_;  // the same on the device: [T] float32, [T] float64
  MicroBatches units_;
  std::vector<std::unique_ptr<nets::Optimiser>> optimisers_;
  std::vector<std::unique_ptr<nets::Ema>> emas_;
  GradientSum sum_;
  Checkpoints checkpoints_;
  DivergenceMonitor monitor_;
  StragglerMonitor stragglers_;
  std::vector<prior::EnergyNet::Weights> frozen_;  // by bucket: effective weights for the chains of this update
  std::vector<prior::PowerSequence>
      sequences_;             // by bucket: with energy.power_iterations_in_chain, in place of frozen_
  std::vector<bool> active_;  // by bucket: gets a gradient in this update
  UpdateStats stats_;
  LevelSums level_sums_;  // of this update, in stats_ once read
  std::vector<double> gradient_norms_;
  std::int64_t update_ = 0, attempt_ = 0;
  double update_s_ = 0;
  std::unique_ptr<PriorMetrics> metrics_;
};

}  // namespace hebm::train
