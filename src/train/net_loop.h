// The loop around the training of one net (the VAE, the feature classifier) or of several beside
// each other (NCE), data parallel: micro-batches -> gradient sum -> update -> EMA -> checkpoint,
// with resume, stop requests, rollback after NaN and metrics. What is learnt is the caller's
// function.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/signals.h"
#include "base/status.h"
#include "comm/communicator.h"
#include "nets/optimiser.h"
#include "storage/metrics.h"
#include "train/checkpoints.h"
#include "train/gradient_sum.h"
#include "train/micro_batches.h"
#include "train/stragglers.h"

namespace hebm::train {

enum class Outcome { kDone, kStopped };  // kStopped: state saved, leave with ExitCode::kRequeue

struct NetLoopOptions {
  std::string name;    // "train-vae", for the status line and errors
  std::string advice;  // what to change after divergence
  std::int64_t updates = 0;
  nets::OptimiserSettings optimiser;
  nets::RateSchedule rate;  // `total` is set to `updates`
  double ema = 0.0;
  double clip_norm = 0.0;  // of a bucket's whole gradient; 0: none
  std::int64_t checkpoint_every = 100, keep = 2, log_every = 10;
  std::int64_t max_rollbacks = 3;
  bool deterministic = false;
  bool whole_batch = false;  // learn() gets all local units at once: a net that looks at the whole batch
  std::vector<nets::NamedTensor> extra_state;  // saved and restored beside the optimiser's; live
  std::function<void()> prepare;       // on all ranks, when a run starts from nothing, before its first checkpoint
  std::function<void()> after_update;  // on all ranks, behind every step of the optimiser
};

// A net with an optimiser and an average of its own; prefix: of its names in checkpoints.
struct Bucket {
  std::string prefix;
  nets::Parameters& params;
};

struct UpdatePlace {
  std::int64_t update = 0, total = 0;
  std::uint32_t attempt = 0;  // part of every random key
};

// Updates of so many epochs, at least one.
std::int64_t epoch_updates(double epochs, std::size_t num_images, std::int64_t batch);
// sqrt of the sum of squares, in float64 and a fixed order: the same bits on every rank with the
// same gradient.
double gradient_norm(const nets::Parameters& params);

class NetLoop {
 public:
  // Checkpoints, metrics.jsonl and TensorBoard events live in `directory`, which is made.
  NetLoop(NetLoopOptions options, std::vector<Bucket> buckets, const MicroBatches& units,
          std::filesystem::path directory, nlohmann::json identity, comm::Communicator& comm, Logger& logger);
  NetLoop(NetLoopOptions options, nets::Parameters& params, const MicroBatches& units, std::filesystem::path directory,
          nlohmann::json identity, comm::Communicator& comm, Logger& logger)
      : NetLoop(std::move(options), {{"", params}}, units, std::move(directory), std::move(identity), comm, logger) {}

  // Backward of the share of units [first, last) of the loss into the buckets' grad(), and their
  // share of the sums: sums[0] is the loss. One unit (micro-batch) a call unless whole_batch.
  using Learn =
      std::function<void(const UpdatePlace& place, std::int64_t first, std::int64_t last, std::span<double> sums)>;
  // Scalars for the log, of the sums over the global batch.
  using Describe = std::function<storage::Scalars(const UpdatePlace& place, std::span<const double> sums)>;
  // From the newest checkpoint to the last update. Error(kDiverged) when the rollbacks are spent.
  Outcome run(std::size_t num_sums, const Learn& learn, const Describe& describe, const StopFlag* stop);

  const nets::Ema& ema(std::size_t bucket = 0) const { return *emas_.at(bucket); }
  std::int64_t update_count() const { return update_; }
  bool save_failed() const { return checkpoints_.save_failed(); }

 private:
  UpdatePlace place() const { return {update_, options_.updates, static_cast<std::uint32_t>(attempt_)}; }
  void sum_gradients(const Learn& learn, const StopFlag* stop);
  std::string judge();
  void apply();
  void roll_back(const std::string& why);
  void adopt(const CheckpointInfo& found);
  void log_update(const storage::Scalars& described);
  void flush_metrics();
  double rate(std::int64_t update) const;
  TrainingState state() const;

  NetLoopOptions options_;
  std::vector<Bucket> buckets_;
  MicroBatches units_;
  std::filesystem::path directory_;
  comm::Communicator& comm_;
  Logger& logger_;
  std::vector<std::unique_ptr<nets::Optimiser>> optimisers_;
  std::vector<std::unique_ptr<nets::Ema>> emas_;
  GradientSum sum_;
  Checkpoints checkpoints_;
  std::unique_ptr<storage::MetricsWriter> metrics_;
  StragglerMonitor stragglers_;
  std::vector<double> sums_;            // the caller's
  double num_stopped_ = 0;              // ranks that were asked to stop
  std::vector<double> gradient_norms_;  // by bucket
  std::int64_t update_ = 0, attempt_ = 0, logged_update_ = 0;
  Timer since_log_, since_flush_;
};

}  // namespace hebm::train
