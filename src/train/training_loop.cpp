#include "train/training_loop.h"
#include <fmt/format.h>
#include <limits>
#include "base/host.h"
#include "base/progress.h"

namespace hebm::train {

TrainingLoop::TrainingLoop(Objective& objective, const TrainingRun& run)
    : objective_(objective),
      options_(objective.options()),
      run_(run),
      sum_(run.comm, objective.buckets(), options_.deterministic, objective.batches().count),
      checkpoints_(run.directory, run.fingerprint, run.comm, run.logger, options_.keep),
      stragglers_(run.comm.all_gather(host_name())) {
  options_.rate.total = options_.updates;
  for (const Bucket& bucket : objective.buckets()) {
    optimisers_.push_back(std::make_unique<nets::Optimiser>(bucket.params, options_.optimiser));
    emas_.push_back(std::make_unique<nets::Ema>(bucket.params, options_.ema));
  }
}

TrainingResult TrainingLoop::run(const Observer& observer) {
  start();
  Phase phase(options_.name);
  StatusLine status(
      run_.logger, options_.name, options_.updates, update_, [this](std::int64_t n) { return objective_.cost(n); });
  while (update_ < options_.updates) {
    const Timer timer;
    phase.next(fmt::format("{}, update {}", options_.name, update_ + 1));
    make_gradients();
    if (const std::string why = judge(); !why.empty()) {
      roll_back(why);
      continue;
    }
    apply();
    const Report made = report(timer.seconds());
    ++update_;
    status.update(update_, objective_.progress(made));
    const bool last = update_ == options_.updates;
    if (last || update_ % options_.log_every == 0) log(made);
    if (last || stopping_ || update_ % options_.checkpoint_every == 0) save();
    if (observer) {
      const Phase aside(fmt::format("{}, behind update {}", options_.name, update_));
      observer(update_);
    }
    if (stopping_ && !last) return {Outcome::kStopped, checkpoints_.save_failed()};
  }
  status.finish();
  return {Outcome::kDone, checkpoints_.save_failed()};
}

TrainingResult TrainingLoop::run_to_artifact(const std::function<void()>& finish, const Observer& observer) {
  const TrainingResult result = run(observer);
  if (result.outcome == Outcome::kStopped) return result;
  adopt_averaged();
  finish();
  return result;
}

void TrainingLoop::make_gradients() {
  const Timer timer;
  const MicroBatches& batches = objective_.batches();
  const std::int64_t step = std::min(options_.at_once, batches.local());
  objective_.record().zero();
  plan_ = objective_.begin(update());
  sum_.begin(plan_.local_passes);
  for (std::int64_t first = batches.first; first < batches.last; first += step) {
    learn(first, std::min(first + step, batches.last));
    tick();
  }
  const double batch_s = timer.seconds() / static_cast<double>(batches.local());
  sum_.finish();
  std::vector<double> shared(static_cast<std::size_t>(run_.comm.size()), 0.0);  // seconds by rank, then stop requests
  shared[static_cast<std::size_t>(run_.comm.rank())] = batch_s;
  shared.push_back(run_.stop != nullptr && run_.stop->requested() ? 1.0 : 0.0);
  objective_.record().reduce(run_.comm, shared);
  stopping_ = shared.back() > 0.0;
  shared.pop_back();
  for (const std::string& line : stragglers_.observe(shared)) run_.logger.write(line);
  gradient_norms_ = sum_.norms();
}

// All ranks have the same record and gradient, so all decide the same. A gradient whose square
// overflows a float would leave Inf in the optimiser's second moments.
std::string TrainingLoop::judge() const {
  std::string of_gradients;
  for (std::size_t b = 0; b < gradient_norms_.size() && of_gradients.empty(); ++b) {
    const std::string& prefix = objective_.buckets()[b].prefix;
    const double square = gradient_norms_[b] * gradient_norms_[b];
    if (!(square <= std::numeric_limits<float>::max()))
      of_gradients =
          fmt::format("{}{}the gradient's norm is {}", prefix, prefix.empty() ? "" : " ", gradient_norms_[b]);
  }
  return objective_.judge(update(), of_gradients);
}

void TrainingLoop::apply() {
  const double rate = nets::scheduled_rate(options_.rate, update_);
  for (std::size_t b = 0; b < optimisers_.size(); ++b) {
    if (!plan_.active[b]) continue;
    if (options_.clip_norm > 0.0 && gradient_norms_[b] > options_.clip_norm)
      objective_.buckets()[b].params.grad().mul_(options_.clip_norm / gradient_norms_[b]);
    optimisers_[b]->step(rate);
    emas_[b]->update(update_);
  }
  objective_.after_update();
}

}  // namespace hebm::train
