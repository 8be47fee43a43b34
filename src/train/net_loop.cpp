#include "train/net_loop.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "storage/files.h"

namespace hebm::train {
namespace {

constexpr double kFlushEvery_s = 5.0;  // metrics reach the disk at least so often while they are written

std::vector<nets::Parameters*> parameters_of(const std::vector<Bucket>& buckets) {
  std::vector<nets::Parameters*> out;
  for (const Bucket& bucket : buckets) out.push_back(&bucket.params);
  return out;
}

// Of all together; of one exactly its own.
double whole_norm(const std::vector<double>& norms) {
  double out = 0;
  for (const double norm : norms) out = std::hypot(out, norm);
  return out;
}

}  // namespace

std::int64_t epoch_updates(double epochs, std::size_t num_images, std::int64_t batch) {
  return std::max<std::int64_t>(1, std::llround(epochs * static_cast<double>(num_images) / static_cast<double>(batch)));
}

double gradient_norm(const nets::Parameters& params) {
  if (!params.device().is_cpu()) return params.grad().norm(2, at::kDouble).item<double>();
  const at::Tensor host = params.grad().to(at::kCPU, at::kDouble);
  const std::span<const double> values(host.const_data_ptr<double>(), static_cast<std::size_t>(host.numel()));
  double sum = 0;
  for (const double g : values) sum += g * g;
  return std::sqrt(sum);
}

NetLoop::NetLoop(NetLoopOptions options, std::vector<Bucket> buckets, const MicroBatches& units,
                 std::filesystem::path directory, nlohmann::json identity, comm::Communicator& comm, Logger& logger)
    : options_(std::move(options)),
      buckets_(std::move(buckets)),
      units_(units),
      directory_(std::move(directory)),
      comm_(comm),
      logger_(logger),
      sum_(comm, parameters_of(buckets_), options_.deterministic, units.count),
      checkpoints_(directory_, std::move(identity), comm, logger, static_cast<int>(options_.keep)),
      stragglers_(StragglerMonitor::of(comm)) {
  options_.rate.total = options_.updates;
  for (const Bucket& bucket : buckets_) {
    optimisers_.push_back(std::make_unique<nets::Optimiser>(bucket.params, options_.optimiser));
    emas_.push_back(std::make_unique<nets::Ema>(bucket.params, options_.ema));
  }
}

Outcome NetLoop::run(std::size_t num_sums, const Learn& learn, const Describe& describe, const StopFlag* stop) {
  const TrainingState live = state();
  sums_.assign(num_sums, 0.0);
  if (const auto found = checkpoints_.restore(live)) {
    adopt(*found);
  } else if (options_.prepare) {
    options_.prepare();
    const c10::NoGradGuard no_grad;
    for (std::size_t b = 0; b < buckets_.size(); ++b) emas_[b]->flat().copy_(buckets_[b].params.flat());
  }
  comm::agree(comm_, [&] {
    if (!comm_.is_root()) return;
    storage::create_folders(directory_);
    metrics_ = std::make_unique<storage::MetricsWriter>(directory_, update_);
  });
  if (update_ == 0) checkpoints_.save(live, {update_, attempt_, {}});  // something to roll back to
  StatusLine status(logger_, options_.name, options_.updates, update_);
  since_log_.restart();
  logged_update_ = update_;
  while (update_ < options_.updates) {
    sum_gradients(learn, stop);
    if (const std::string why = judge(); !why.empty()) {
      roll_back(why);
      continue;
    }
    apply();
    const auto scalars = describe(place(), sums_);
    ++update_;
    status.update(update_, fmt::format("loss {:.5g}", sums_[0]));
    const bool last = update_ == options_.updates, stopping = num_stopped_ > 0.0;
    if (last || update_ % options_.log_every == 0) log_update(scalars);
    if (last || stopping || update_ % options_.checkpoint_every == 0) {
      checkpoints_.save(live, {update_, attempt_, {}});
      flush_metrics();
    }
    if (stopping && !last) return Outcome::kStopped;
  }
  status.finish();
  return Outcome::kDone;
}

void NetLoop::sum_gradients(const Learn& learn, const StopFlag* stop) {
  const Timer timer;
  std::fill(sums_.begin(), sums_.end(), 0.0);
  const std::int64_t num_units = units_.last - units_.first, step = options_.whole_batch ? num_units : 1;
  sum_.begin(std::vector<std::int64_t>(buckets_.size(), num_units / step));
  for (std::int64_t unit = units_.first; unit < units_.last; unit += step) {
    learn(place(), unit, unit + step, sums_);
    for (std::size_t b = 0; b < buckets_.size(); ++b) sum_.backward_done(b);
  }
  const double unit_s = timer.seconds() / static_cast<double>(num_units);
  sum_.finish();
  sums_.push_back(stop != nullptr && stop->requested() ? 1.0 : 0.0);
  const std::vector<double> unit_s_of_rank = sum_and_gather(comm_, sums_, unit_s);
  num_stopped_ = sums_.back();
  sums_.pop_back();
  for (const std::string& line : stragglers_.observe(unit_s_of_rank)) logger_.write(line);
}

// All ranks have the same sums and gradient, so all decide the same.
std::string NetLoop::judge() {
  gradient_norms_.clear();
  for (const Bucket& bucket : buckets_) gradient_norms_.push_back(gradient_norm(bucket.params));
  if (!std::isfinite(sums_[0])) return fmt::format("the loss is {}", sums_[0]);
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    if (!std::isfinite(gradient_norms_[b]))
      return fmt::format("{}{}the gradient's norm is {}", buckets_[b].prefix, buckets_[b].prefix.empty() ? "" : " ",
                         gradient_norms_[b]);
  }
  return "";
}

void NetLoop::apply() {
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    if (options_.clip_norm > 0.0 && gradient_norms_[b] > options_.clip_norm)
      buckets_[b].params.grad().mul_(options_.clip_norm / gradient_norms_[b]);
    optimisers_[b]->step(rate(update_));
    emas_[b]->update(update_);
  }
  if (options_.after_update) options_.after_update();
}

double NetLoop::rate(std::int64_t update) const { return nets::scheduled_rate(options_.rate, update); }

void NetLoop::roll_back(const std::string& why) {
  logger_.line("{} diverged at update {}: {}", options_.name, update_, why);
  const std::int64_t attempt = attempt_ + 1;
  check(attempt <= options_.max_rollbacks, ExitCode::kDiverged,
        "{} diverged at update {} ({}) and {} rollbacks are spent; {}", options_.name, update_, why,
        options_.max_rollbacks, options_.advice);
  // The newest checkpoint may already be on its way to diverging: go to the one before, where there
  // is one.
  const auto found = checkpoints_.roll_back(state(), std::max<std::int64_t>(1, checkpoints_.last_step()));
  check(found.has_value(), ExitCode::kDiverged, "{} diverged at update {} ({}) and no earlier checkpoint is left",
        options_.name, update_, why);
  adopt(*found);
  attempt_ = attempt;
  comm::agree(comm_, [&] {
    if (!comm_.is_root()) return;
    metrics_.reset();  // flushes before the file is opened again
    metrics_ = std::make_unique<storage::MetricsWriter>(directory_, update_);
  });
  logged_update_ = update_;
  logger_.line("rolled back to update {}, attempt {}", update_, attempt_);
}

void NetLoop::adopt(const CheckpointInfo& found) {
  update_ = found.step;
  attempt_ = found.attempt;
}

TrainingState NetLoop::state() const {
  TrainingState out;
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const auto& [prefix, params] = buckets_[b];
    for (const auto& p : params.parameters()) out.model.push_back({prefix + p.name, p.tensor});
    for (const auto& s : params.states()) out.model.push_back({prefix + s.name, s.tensor});
    for (const auto& moment : optimisers_[b]->state(prefix)) out.optimizer.push_back(moment);
    out.optimizer.push_back({prefix + "ema", emas_[b]->flat()});
  }
  out.optimizer.insert(out.optimizer.end(), options_.extra_state.begin(), options_.extra_state.end());
  return out;
}

// A full disk may cost lines of the log, never the run.
void NetLoop::flush_metrics() {
  try {
    if (metrics_) metrics_->flush();
  } catch (const Error& e) {
    logger_.line("WARNING: {}; the lines are kept and tried again", e.what());
  }
  since_flush_.restart();
}

void NetLoop::log_update(const storage::Scalars& described) {
  if (!metrics_) return;
  const double seconds = since_log_.seconds();
  storage::Scalars scalars = {{"loss", sums_[0]}};
  scalars.insert(scalars.end(), described.begin(), described.end());
  scalars.emplace_back("learning_rate", rate(update_ - 1));
  scalars.emplace_back("gradient_norm", whole_norm(gradient_norms_));
  scalars.emplace_back("images_per_s",
                       static_cast<double>((update_ - logged_update_) * units_.batch) / std::max(seconds, 1e-9));
  scalars.emplace_back("attempt", static_cast<double>(attempt_));
  metrics_->write(update_, scalars);
  if (since_flush_.seconds() > kFlushEvery_s) flush_metrics();
  logged_update_ = update_;
  since_log_.restart();
}

}  // namespace hebm::train
