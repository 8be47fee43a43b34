// Around the loop: what most trainings do, and what one keeps on disk: where it starts from,
// checkpoints, rollback, metrics.
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include "base/progress.h"
#include "nets/tensor_io.h"
#include "storage/files.h"
#include "train/training_loop.h"

namespace hebm::train {

std::int64_t epoch_updates(double epochs, std::size_t num_images, std::int64_t batch) {
  return std::max<std::int64_t>(1, std::llround(epochs * static_cast<double>(num_images) / static_cast<double>(batch)));
}

void LoopOptions::describe_batch(Options& o, Show show) {
  o.add(section + ".batch", &batch, "images an update, over all ranks", {1, 1000000}, show);
  o.add(section + ".micro_batch", &micro_batch, "images of a micro-batch; batch / micro_batch >= ranks", {1, 1000000});
}

void LoopOptions::describe_sums(Options& o) {
  o.add(section + ".deterministic", &deterministic, "int64 gradient sums: the same bits for any number of ranks");
}

void LoopOptions::describe_keeping(Options& o) {
  o.outside_fingerprint([&] {
    o.add(section + ".checkpoint_every", &checkpoint_every, "updates between checkpoints", {1, 1000000000},
        Show::kCommon);
    o.add(section + ".keep", &keep, "checkpoints kept", {2, 100000});
    o.add(section + ".log_every", &log_every, "updates between lines of metrics.jsonl", {1, 1000000});
    o.add(section + ".start_over", &start_over,
        "where checkpoints are there and none can be used: train from update 0; else that is an error");
  });
}

Objective::Objective(
    const LoopOptions& options, std::vector<Bucket> buckets, Recorder record, const comm::Communicator& comm)
    : options_(options),
      buckets_(std::move(buckets)),
      batches_(options_.batch, options_.micro_batch, comm.rank(), comm.size(),
          fmt::format("{0}.batch, {0}.micro_batch", options_.section)),
      record_(std::move(record)) {}

Plan Objective::begin(const Update& /*update*/) {
  const std::int64_t passes = batches_.pieces(options_.at_once);
  return {std::vector<std::int64_t>(buckets_.size(), passes), std::vector<bool>(buckets_.size(), true)};
}

std::string Objective::judge(const Update& /*update*/, const std::string& of_gradients) {
  return std::isfinite(record_.at(kLoss)) ? of_gradients : fmt::format("the loss is {}", record_.at(kLoss));
}

std::string Objective::progress(const Report& /*report*/) const {
  return fmt::format("loss {:.5g}", record_.at(kLoss));
}

storage::Scalars Objective::describe(const Report& report) const {
  double norm = 0;  // of all buckets together; of one exactly its own
  for (const double of_bucket : report.gradient_norms) norm = std::hypot(norm, of_bucket);
  return {{"loss", record_.at(kLoss)}, {"gradient_norm", norm}, {"images_per_s", report.images_per_s}};
}

// What fails here may fail again in every restart: the batch is named.
void TrainingLoop::learn(std::int64_t first, std::int64_t last) {
  const std::string work = fmt::format("update {}, micro-batches {} to {}", update_ + 1, first, last - 1);
  try {
    objective_.learn({update(), first, last}, sum_);
  } catch (const comm::AgreedError&) {
    throw;
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", work, error.what());
  } catch (const std::exception& error) {
    fail(ExitCode::kRuntime, "{}: internal error: {}", work, error.what());
  }
}

void TrainingLoop::adopt_averaged() {
  const c10::NoGradGuard no_grad;
  for (std::size_t b = 0; b < emas_.size(); ++b) objective_.buckets()[b].params.flat().copy_(emas_[b]->flat());
}

Report TrainingLoop::report(double update_s) const {
  const auto images = static_cast<double>((update_ + 1 - logged_update_) * objective_.batches().batch);
  return {.update = update(),
      .gradient_norms = gradient_norms_,
      .update_s = update_s,
      .images_per_s = images / std::max(since_log_.seconds(), 1e-9),
      .median_s = stragglers_.median_s(),
      .slowest_s = stragglers_.slowest_s(),
      .sum_waited_s = sum_.waited_s(),
      .sum_bytes = sum_.bytes_per_update(),
      .sum_collectives = sum_.collectives_per_update()};
}

// ---- on disk

void TrainingLoop::start() {
  if (const auto found = checkpoints_.restore(state())) {
    run_.logger.line("goes on from {} after {} updates", (run_.directory / "checkpoints").string(), found->step);
    resume(*found);
  } else {
    checkpoints_.expect_none(options_.section + ".start_over", options_.start_over);
    objective_.prepare();
    const c10::NoGradGuard no_grad;
    for (std::size_t b = 0; b < emas_.size(); ++b) emas_[b]->flat().copy_(objective_.buckets()[b].params.flat());
    resume({.extra = nlohmann::json::object()});
  }
  if (update_ == 0) save();  // something to roll back to
}

void TrainingLoop::roll_back(const std::string& why) {
  const Phase phase(options_.name + ", rolls back");
  const std::string what = fmt::format("{} diverged at update {}", options_.subject, update_);
  run_.logger.line("{}: {}", what, why);
  const std::int64_t attempt = attempt_ + 1;
  if (attempt > options_.max_rollbacks) {
    throw comm::AgreedError(ExitCode::kDiverged,
        fmt::format("{} ({}) and {} rollbacks are spent; {}", what, why, options_.max_rollbacks, options_.advice));
  }
  // The newest checkpoint may already be on its way to diverging: go to the one before, where there
  // is one.
  checkpoints_.set_aside(std::max<std::int64_t>(1, checkpoints_.last_step()));
  const auto found = checkpoints_.restore(state());
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
    for (auto& t : nets::saved_tensors(params, prefix)) out.model.push_back(std::move(t));
    for (const auto& moment : optimisers_[b]->state(prefix)) out.optimizer.push_back(moment);
    out.optimizer.push_back({prefix + "ema", emas_[b]->flat()});
  }
  for (const auto& tensor : objective_.extra_state()) out.optimizer.push_back(tensor);
  return out;
}

void TrainingLoop::save() {
  const Phase phase(fmt::format("{}, saves update {}", options_.name, update_));
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
  comm::on_root(run_.comm, [&] {
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
