// The run around Algorithm 1: resume, stop requests, rollback after divergence, checkpoints and the
// log.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "train/train_prior.h"

namespace hebm::train {

Outcome PriorTrainer::run(const MakeSource& make_source, const StopFlag& stop, const Observer& observer) {
  const TrainingState live = state();
  if (const auto found = checkpoints_.restore(live)) adopt(*found);
  open_metrics();
  if (one_level_a_unit() && !options_.only_zero && units_.count % schedule_.num_levels != 0) {
    logger_.line("note: {} units of work a batch for T = {}: levels come equally often only over many updates",
                 units_.count, schedule_.num_levels);
  }
  if (update_ == 0) checkpoints_.save(live, info());  // something to roll back to
  auto source = make_source(units_, update_);
  StatusLine status(logger_, "train", options_.updates, update_);
  while (update_ < options_.updates) {
    const Timer timer;
    update(*source);
    stats_.stop = stop.requested() ? 1.0 : 0.0;
    stats_.reduce(comm_);
    for (const std::string& line : stragglers_.observe(stats_.unit_s_of_rank)) logger_.write(line);
    if (const std::string why = judge(); !why.empty()) {
      roll_back(live, why);
      source = make_source(units_, update_);
      continue;
    }
    apply_gradients();
    ++update_;
    update_s_ = timer.seconds();
    status.update(update_, progress_text());
    if (metrics_ && (update_ % options_.log_every == 0 || update_ == options_.updates)) log_update(*source);
    const bool stopping = stats_.stop > 0.0;
    if (stopping || update_ == options_.updates || update_ % options_.checkpoint_every == 0) {
      checkpoints_.save(live, info());
      flush_metrics();
    }
    if (observer) observer(update_);
    if (stopping && update_ < options_.updates) return Outcome::kStopped;
  }
  status.finish();
  return Outcome::kDone;
}

std::string PriorTrainer::judge() {
  for (std::size_t b = 0; b < gradient_norms_.size(); ++b) {
    if (!std::isfinite(gradient_norms_[b]))
      return fmt::format("{} the gradient's norm is {}", prior_.bucket_name(b), gradient_norms_[b]);
  }
  return monitor_.observe(update_, stats_.gap(), stats_.counts());
}

void PriorTrainer::roll_back(const TrainingState& live, const std::string& why) {
  logger_.line("diverged at update {}: {}", update_, why);
  const std::int64_t attempt = attempt_ + 1;
  // All ranks judged the same sums: they give up together.
  if (attempt > options_.max_rollbacks) {
    throw comm::AgreedError(
        ExitCode::kDiverged,
        fmt::format(
            "training diverged at update {} ({}) and {} rollbacks are spent; take a smaller train.learning_rate "
            "or langevin.step (of a joint EBM langevin.eta_marginal; metrics.jsonl shows which t went first)",
            update_, why, options_.max_rollbacks));
  }
  // The newest checkpoint may already be on its way to diverging: go to the one before, where there
  // is one.
  const auto found = checkpoints_.roll_back(live, std::max<std::int64_t>(1, checkpoints_.last_step()));
  if (!found) {
    throw comm::AgreedError(
        ExitCode::kDiverged,
        fmt::format("training diverged at update {} ({}) and no earlier checkpoint is left", update_, why));
  }
  adopt(*found);
  attempt_ = attempt;
  open_metrics();
  logger_.line("rolled back to update {}, attempt {}", update_, attempt_);
}

void PriorTrainer::adopt(const CheckpointInfo& found) {
  update_ = found.step;
  attempt_ = found.attempt;
  monitor_.restore(found.extra.value("gaps", nlohmann::json::array()));
}

TrainingState PriorTrainer::state() const {
  TrainingState out;
  out.model = prior_.named_tensors();
  for (std::size_t b = 0; b < optimisers_.size(); ++b) {
    const std::string prefix = prior_.bucket_name(b);
    for (const auto& tensor : optimisers_[b]->state(prefix)) out.optimizer.push_back(tensor);
    out.optimizer.push_back({prefix + "ema", emas_[b]->flat()});
  }
  return out;
}

CheckpointInfo PriorTrainer::info() const { return {update_, attempt_, {{"gaps", monitor_.state()}}}; }

storage::Scalars PriorTrainer::named_norms() const {
  storage::Scalars out;
  for (std::size_t b = 0; b < gradient_norms_.size(); ++b) {
    if (!active_[b]) continue;
    std::string name = prior_.bucket_name(b);
    name.pop_back();  // the dot before a tensor's name
    out.emplace_back("gradient_norm/" + name, gradient_norms_[b]);
  }
  return out;
}

std::string PriorTrainer::progress_text() const {
  const auto gap = stats_.gap();
  std::string out = fmt::format("{:.2f} s/update, gap by t:", update_s_);
  for (const double g : gap) out += fmt::format(" {:.3g}", g);
  const double images = stats_.at(UpdateStats::kCount, 0);
  for (std::size_t h = 0; h < stats_.heads && images > 0.0; ++h) {
    out +=
        fmt::format(", {}: {:.3f}", prior_.heads()[h].name, stats_.at(stats_.head(h) + UpdateStats::kHits, 0) / images);
  }
  return out;
}

void PriorTrainer::open_metrics() {
  comm::agree(comm_, [&] {
    if (!comm_.is_root()) return;
    metrics_.reset();  // flushes before the file is opened again
    metrics_ = std::make_unique<PriorMetrics>(directory_, update_);
  });
}

// A full disk may cost lines of the log, never the run.
void PriorTrainer::flush_metrics() {
  try {
    if (metrics_) metrics_->flush();
  } catch (const Error& e) {
    logger_.line("WARNING: {}; the lines are kept and tried again", e.what());
  }
}

void PriorTrainer::log_update(const LatentSource& source) {
  const double rate = nets::scheduled_rate(options_.rate_schedule(), update_ - 1);
  storage::Scalars more = {{"learning_rate", rate},
                           {"seconds/update", update_s_},
                           {"seconds/sum_total", sum_.waited_s()},
                           {"seconds/data_wait_total", source.waited_s()},
                           {"seconds/unit_median", stragglers_.median_s()},
                           {"seconds/unit_slowest", stragglers_.slowest_s()},
                           {"sum/bytes", sum_.bytes_per_update()},
                           {"attempt", static_cast<double>(attempt_)}};
  const double images = stats_.at(UpdateStats::kCount, 0);
  for (std::size_t h = 0; h < stats_.heads && images > 0.0; ++h) {
    const std::string& name = prior_.heads()[h].name;
    more.emplace_back(fmt::format("cross_entropy/{}", name),
                      stats_.at(stats_.head(h) + UpdateStats::kCrossEntropy, 0) / images);
    more.emplace_back(fmt::format("accuracy/{}", name), stats_.at(stats_.head(h) + UpdateStats::kHits, 0) / images);
  }
  if (device_.is_cpu()) more.emplace_back("seconds/chain", stats_.chain_s / comm_.size());
  metrics_->write(update_, stats_, named_norms(), level_weights_, step_variances_, std::move(more));
}

}  // namespace hebm::train
