// The loop around every training, data parallel: micro-batches -> gradient sum -> optimiser -> EMA
// -> checkpoint, with resume, stop requests, rollback after divergence, metrics and stragglers.
// What is learnt is an Objective: diffusion.h (Alg. 1), coupling.h, nce.h, train_vae.cpp,
// train_features.cpp.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "base/error.h"
#include "base/signals.h"
#include "base/status.h"
#include "comm/communicator.h"
#include "nets/optimiser.h"
#include "storage/metrics.h"
#include "train/checkpoints.h"
#include "train/gradient_sum.h"
#include "train/recorder.h"
#include "train/stragglers.h"

namespace hebm::train {

// A net with an optimiser and an average of its own; prefix: of its names in checkpoints.
struct Bucket {
  std::string prefix;
  nets::Parameters& params;
};

// A global batch is V micro-batches of fixed shape and membership; rank r of N gets the whole
// micro-batches [V r / N, V (r+1) / N). So no result depends on the number of ranks.
struct MicroBatches {
  std::int64_t batch = 0, size = 0, count = 0;  // global batch, rows of one, V
  std::int64_t first = 0, last = 0;             // this rank's

  MicroBatches(std::int64_t batch_, std::int64_t size_, int rank, int num_ranks, const std::string& keys)
      : batch(batch_), size(size_), count(size_ > 0 ? batch_ / size_ : 0) {
    check(size > 0 && count * size == batch, ExitCode::kUsage,
        "{}: the batch {} is not a multiple of the micro-batch {}", keys, batch, size);
    check(count >= num_ranks, ExitCode::kUsage,
        "{}: batch {} in micro-batches of {} gives {} units of work for {} ranks; take a smaller micro-batch, a "
        "larger batch or fewer ranks",
        keys, batch, size, count, num_ranks);
    first = count * rank / num_ranks;
    last = count * (rank + 1) / num_ranks;
  }
};

// What the options of every training have in common.
struct LoopOptions {
  std::string section;  // of the options: "vae_train"
  std::string name;     // for the status line: "train-vae"
  std::string subject;  // of "... diverged at update 3"
  std::string advice;   // what to change after divergence
  std::int64_t updates = 0;
  std::int64_t batch = 128, micro_batch = 32;  // batch is global
  nets::OptimiserSettings optimiser;
  nets::RateSchedule rate;  // `total` is set to `updates`
  double ema = 0.0;
  double clip_norm = 0.0;  // of a bucket's whole gradient; 0: none
  std::int64_t checkpoint_every = 100, keep = 2, log_every = 10;
  std::int64_t max_rollbacks = 3;
  bool deterministic = false;
  bool whole_batch = false;    // learn() gets all of a rank's micro-batches at once
  double flush_every_s = 5.0;  // metrics reach the disk at least so often while they are written
};

struct Update {
  std::int64_t number = 0, total = 0;
  std::uint32_t attempt = 0;  // part of every random key
};

// Micro-batches [first, last) of an update.
struct Work {
  Update update;
  std::int64_t first, last;
};

// The buckets of an update: how often this rank goes backward through each, and which get a
// gradient on any rank.
struct Plan {
  std::vector<std::int64_t> local_passes;
  std::vector<bool> active;
};

// The loop's measurements, beside what the objective recorded.
struct Report {
  Update update;
  std::vector<double> gradient_norms;  // by bucket
  double update_s = 0, images_per_s = 0, unit_median_s = 0, unit_slowest_s = 0;
  double sum_waited_s = 0, sum_bytes = 0;
};

class Objective {
 public:
  virtual ~Objective() = default;
  const LoopOptions& options() const { return options_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  const MicroBatches& batches() const { return batches_; }
  Recorder& record() { return record_; }

  // Saved and restored beside weights and moments; live.
  virtual std::vector<nets::NamedTensor> extra_state() const { return {}; }
  // On all ranks, when a run starts from nothing, before its first checkpoint.
  virtual void prepare() {}
  // What a checkpoint's manifest keeps; resume() gets it before the first update of a run and after
  // a rollback (an empty object: from nothing).
  virtual nlohmann::json saved() const { return {}; }
  virtual void resume(std::int64_t /*update*/, const nlohmann::json& /*saved*/) {}

  // Before the micro-batches of an update. Here: every bucket learns from each of them.
  virtual Plan begin(const Update& update);
  // Backward of the share of these micro-batches in the loss into the buckets' grad(), told to
  // `gradients` bucket by bucket, and their share of the record.
  virtual void learn(const Work& work, GradientSum& gradients) = 0;
  // "" or what is wrong. All ranks see the same record, so all decide the same. of_gradients: the
  // same of the gradients' norms.
  virtual std::string judge(const Update& update, const std::string& of_gradients);
  // On all ranks, behind every step of the optimiser.
  virtual void after_update() {}
  // For the status line, and scalars for the log.
  virtual std::string progress(const Report& report) const;
  virtual storage::Scalars describe(const Report& report) const;
 protected:
  static constexpr std::size_t kLoss = 0;  // the first field of a record, but of Algorithm 1's
  Objective(const LoopOptions& options, std::vector<Bucket> buckets, Recorder record, const comm::Communicator& comm);

  LoopOptions options_;
  std::vector<Bucket> buckets_;
  MicroBatches batches_;
  Recorder record_;
};

// Updates of so many epochs, at least one.
std::int64_t epoch_updates(double epochs, std::size_t num_images, std::int64_t batch);

// kStopped: state saved, leave with ExitCode::kRequeue.
enum class Outcome { kDone, kStopped };

// Where a training runs. References must outlive it.
struct TrainingRun {
  std::filesystem::path directory;  // of checkpoints, metrics.jsonl and TensorBoard events; is made
  nlohmann::json fingerprint;       // the settings that a run may not change
  comm::Communicator& comm;
  Logger& logger;
  const StopFlag* stop = nullptr;
};

struct TrainingResult {
  Outcome outcome = Outcome::kDone;
  bool save_failed = false;
};

class TrainingLoop {
 public:
  TrainingLoop(Objective& objective, const TrainingRun& run);
  // Called on every rank after each update, checkpoint included.
  using Observer = std::function<void(std::int64_t update)>;
  // From the newest checkpoint to the last update. AgreedError(kDiverged) when the rollbacks are
  // spent.
  TrainingResult run(const Observer& observer = {});
  // The averaged weights, for samples and the artifact.
  const nets::Ema& ema(std::size_t bucket = 0) const { return *emas_.at(bucket); }
 private:
  Update update() const { return {update_, options_.updates, static_cast<std::uint32_t>(attempt_)}; }
  void start();
  void make_gradients();
  std::string judge() const;
  void apply();
  void roll_back(const std::string& why);
  void resume(const CheckpointInfo& from);
  TrainingState state() const;
  void save();
  Report report(double update_s) const;
  void log(const Report& report);
  void open_metrics();
  void flush_metrics();

  Objective& objective_;
  LoopOptions options_;
  TrainingRun run_;
  std::vector<std::unique_ptr<nets::Optimiser>> optimisers_;
  std::vector<std::unique_ptr<nets::Ema>> emas_;
  GradientSum sum_;
  Checkpoints checkpoints_;
  std::unique_ptr<storage::MetricsWriter> metrics_;  // rank 0
  StragglerMonitor stragglers_;
  Plan plan_;                           // of this update
  std::vector<double> gradient_norms_;  // by bucket
  bool stopping_ = false;               // a rank was asked to stop
  std::int64_t update_ = 0, attempt_ = 0, logged_update_ = 0;
  Timer since_log_, since_flush_;
};

}  // namespace hebm::train
