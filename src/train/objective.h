// What a training learns: an Objective, which the loop (training_loop.h) drives. There are
// diffusion.h (Alg. 1), coupling.h, nce.cpp, train_vae.cpp and train_features.cpp.
#pragma once
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "base/options.h"
#include "comm/communicator.h"
#include "nets/optimiser.h"
#include "storage/metrics.h"
#include "train/gradient_sum.h"
#include "train/micro_batches.h"
#include "train/monitors.h"

namespace hebm::train {

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
  double ema = 0.0;         // 0.98 for Algorithm 1 (diffusion_setup.cpp)
  double clip_norm = 0.0;   // of a bucket's whole gradient; 0: none
  std::int64_t checkpoint_every = 100, keep = 2, log_every = 10;
  std::int64_t max_rollbacks = 3;
  bool deterministic = false;
  bool start_over = false;  // from nothing where no checkpoint of those that are there can be used
  static constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();
  std::int64_t at_once = 1;    // micro-batches of a rank that learn() gets together, at most
  double flush_every_s = 5.0;  // metrics reach the disk at least so often while they are written
 protected:
  // Declares these of the section: how large a batch is, how gradients are summed, and how often
  // what is kept.
  void describe_batch(Options& options, Show show);
  void describe_sums(Options& options);
  void describe_keeping(Options& options);
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
  double update_s = 0, images_per_s = 0;
  double median_s = 0, slowest_s = 0;  // of a micro-batch, over ranks
  double sum_waited_s = 0, sum_bytes = 0;
  std::int64_t sum_collectives = 0;
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
  // What the first `updates` cost, in any unit: for the ETA.
  virtual double cost(std::int64_t updates) const { return static_cast<double>(updates); }
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

}  // namespace hebm::train
