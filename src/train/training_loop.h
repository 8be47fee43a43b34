// The loop around every training, data parallel: micro-batches -> gradient sum -> optimiser -> EMA
// -> checkpoint, with resume, stop requests, rollback after divergence, metrics and stragglers.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "base/signals.h"
#include "base/status.h"
#include "train/checkpoints.h"
#include "train/objective.h"

namespace hebm::train {

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
  // The same, and behind the last update the averaged weights in the nets for good, and finish(),
  // which makes the artifact of them. Not where the run was stopped.
  TrainingResult run_to_artifact(const std::function<void()>& finish, const Observer& observer = {});
  // The averaged weights, for samples on the way.
  const nets::Ema& ema(std::size_t bucket) const { return *emas_.at(bucket); }
 private:
  Update update() const { return {update_, options_.updates, static_cast<std::uint32_t>(attempt_)}; }
  void start();
  void make_gradients();
  void learn(std::int64_t first, std::int64_t last);
  std::string judge() const;
  void apply();
  void adopt_averaged();
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
