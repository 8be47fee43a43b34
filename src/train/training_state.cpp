// What a training keeps on disk: where it starts from, checkpoints, rollback, metrics.
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include "storage/files.h"
#include "train/training_loop.h"

namespace hebm::train {

void TrainingLoop::start() {
  if (const auto found = checkpoints_.restore(state())) {
    resume(*found);
  } else {
    objective_.prepare();
    const c10::NoGradGuard no_grad;
    for (std::size_t b = 0; b < emas_.size(); ++b) emas_[b]->flat().copy_(objective_.buckets()[b].params.flat());
    resume({.extra = nlohmann::json::object()});
  }
  if (update_ == 0) save();  // something to roll back to
}

void TrainingLoop::roll_back(const std::string& why) {
  const std::string what = fmt::format("{} diverged at update {}", options_.subject, update_);
  run_.logger.line("{}: {}", what, why);
  const std::int64_t attempt = attempt_ + 1;
  if (attempt > options_.max_rollbacks) {
    throw comm::AgreedError(ExitCode::kDiverged,
        fmt::format("{} ({}) and {} rollbacks are spent; {}", what, why, options_.max_rollbacks, options_.advice));
  }
  // The newest checkpoint may already be on its way to diverging: go to the one before, where there
  // is one.
  const auto found = checkpoints_.roll_back(state(), std::max<std::int64_t>(1, checkpoints_.last_step()));
  if (!found)
    throw comm::AgreedError(ExitCode::kDiverged, fmt::format("{} ({}) and no earlier checkpoint is left", what, why));
  resume({found->step, attempt, found->extra});
  run_.logger.line("rolled back to update {}, attempt {}", update_, attempt_);
}

void TrainingLoop::resume(const CheckpointInfo& from) {
  update_ = logged_update_ = from.step;
  attempt_ = from.attempt;
  open_metrics();
  objective_.resume(update_, from.extra);
  since_log_.restart();
}

TrainingState TrainingLoop::state() const {
  TrainingState out;
  for (std::size_t b = 0; b < optimisers_.size(); ++b) {
    const auto& [prefix, params] = objective_.buckets()[b];
    for (const auto& p : params.parameters()) out.model.push_back({prefix + p.name, p.tensor});
    for (const auto& s : params.states()) out.model.push_back({prefix + s.name, s.tensor});
    for (const auto& moment : optimisers_[b]->state(prefix)) out.optimizer.push_back(moment);
    out.optimizer.push_back({prefix + "ema", emas_[b]->flat()});
  }
  for (const auto& tensor : objective_.extra_state()) out.optimizer.push_back(tensor);
  return out;
}

void TrainingLoop::save() {
  checkpoints_.save(state(), {update_, attempt_, objective_.saved()});
  flush_metrics();
}

void TrainingLoop::log(const Report& report) {
  if (!metrics_) return;
  storage::Scalars scalars = objective_.describe(report);
  scalars.emplace_back("learning_rate", nets::scheduled_rate(options_.rate, report.update.number));
  scalars.emplace_back("attempt", static_cast<double>(attempt_));
  metrics_->write(update_, scalars);
  if (since_flush_.seconds() > options_.flush_every_s) flush_metrics();
  logged_update_ = update_;
  since_log_.restart();
}

void TrainingLoop::open_metrics() {
  comm::agree(run_.comm, [&] {
    if (!run_.comm.is_root()) return;
    storage::create_folders(run_.directory);
    metrics_.reset();  // flushes before the file is opened again
    metrics_ = std::make_unique<storage::MetricsWriter>(run_.directory, update_);
  });
}

// A full disk may cost lines of the log, never the run.
void TrainingLoop::flush_metrics() {
  try {
    if (metrics_) metrics_->flush();
  } catch (const Error& e) {
    run_.logger.line("WARNING: {}; the lines are kept and tried again", e.what());
  }
  since_flush_.restart();
}

}  // namespace hebm::train
