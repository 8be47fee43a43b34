#include "train/train_prior.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "nets/device.h"
#include "prior/forward_pair.h"
#include "prior/losses.h"
#include "train/prior_metrics.h"

namespace hebm::train {
namespace {

std::vector<double> step_variances(const prior::Schedule& schedule, const prior::LangevinOptions& langevin) {
  std::vector<double> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) out.push_back(prior::step_variance(schedule, langevin, t));
  return out;
}

std::vector<nets::Parameters*> buckets(prior::EnergyPrior& prior) {
  std::vector<nets::Parameters*> out;
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) out.push_back(&prior.bucket(b).params());
  return out;
}

}  // namespace

PriorTrainer::PriorTrainer(const PriorTrainOptions& options, const prior::LangevinOptions& langevin,
                           prior::EnergyPrior& prior, const prior::EnergyOptions& energy,
                           const vae::Backbone& backbone, std::uint64_t seed, std::filesystem::path directory,
                           nlohmann::json identity, comm::Communicator& comm, Logger& logger)
    : options_(options), langevin_(langevin), prior_(prior), power_iterations_(energy.power_iterations),
      power_in_chain_(energy.power_iterations_in_chain), device_(prior.device()),
      backbone_(backbone), seed_(seed), directory_(std::move(directory)), comm_(comm), logger_(logger),
      schedule_(prior.schedule()),
      coefficients_(prior::step_coefficients(schedule_, langevin)),
      level_weights_(prior::level_weights(schedule_, langevin, options.level_weight)),
      step_variances_(step_variances(schedule_, langevin)),
      weight_of_level_(nets::on_device(level_weights_, device_).to(at::kFloat)),
      variance_of_level_(nets::on_device(step_variances_, device_)),
      units_(options.batch, options.micro_batch, comm.rank(), comm.size(), "train.batch, train.micro_batch"),
      sum_(comm, buckets(prior), options.deterministic, units_.count),
      checkpoints_(directory_, std::move(identity), comm, logger, static_cast<int>(options.keep)),
      monitor_(prior.num_levels(), options.divergence_factor), stragglers_(StragglerMonitor::of(comm)), stats_(prior.num_layers(), prior.num_levels()),
      level_sums_(stats_.num_fields(), prior.num_levels(), device_) {
  check(backbone.params().device() == device_, ExitCode::kRuntime, "prior training: the energy nets are on {}, the VAE on {}",
        device_.str(), backbone.params().device().str());
  options.expect_possible(prior.per_level(), comm.size());
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) {
    optimisers_.push_back(std::make_unique<nets::Optimiser>(
        prior.bucket(b).params(), nets::OptimiserSettings{.rule = nets::Rule::kAdam, .beta1 = options.beta1,
                                                         .beta2 = options.beta2, .weight_decay = options.weight_decay}));
    emas_.push_back(std::make_unique<nets::Ema>(prior.bucket(b).params(), options.ema));
  }
}

// ---- Algorithm 1 ----------------------------------------------------------------------------------------------------

void PriorTrainer::update(LatentSource& source) {
  const Timer timer;
  if (power_in_chain_) {
    sequences_ = prior_.power_sequences(langevin_.steps);
  } else {
    frozen_ = prior_.frozen_weights();
  }
  stats_ = UpdateStats(prior_.num_layers(), schedule_.num_levels);
  level_sums_.zero();
  sum_.begin(plan_update());
  for (std::int64_t unit = units_.first; unit < units_.last; ++unit) {
    const LatentBatch latents = source.next();                       // line 3: u_0 ~ q(u_0 | x)
    const prior::ChainIds ids = ids_of(latents);
    const prior::NoisyPair pair = draw_pair(latents, ids, unit);     // lines 4, 5: t, then u_t and u_{t+1} (Eq. 7)
    const at::Tensor negatives = draw_negatives(pair, ids);          // line 6: K Langevin steps from u_{t+1} (Eq. 3, 13)
    learn(pair, negatives);                                          // line 7: the gradient of Eq. 12, layer by layer
  }
  stats_.unit_s = timer.seconds() / static_cast<double>(units_.last - units_.first);
  sum_.finish();                                                     // over micro-batches and ranks
  read_statistics();
}

std::vector<std::int64_t> PriorTrainer::plan_update() {
  std::vector<std::int64_t> local(prior_.num_buckets(), 0);
  active_.assign(prior_.num_buckets(), !prior_.per_level());
  for (std::int64_t unit = 0; unit < units_.count; ++unit) {
    const std::int64_t t = prior::level_of_unit(schedule_, seed_, static_cast<std::uint32_t>(attempt_), update_, unit);
    const std::size_t set = prior_.per_level() ? static_cast<std::size_t>(t) : 0;
    for (std::size_t i = 0; i < prior_.num_layers(); ++i) {
      const std::size_t bucket = set * prior_.num_layers() + i;
      active_[bucket] = true;
      if (unit >= units_.first && unit < units_.last) ++local[bucket];
    }
  }
  return local;
}

prior::NoisyPair PriorTrainer::draw_pair(const LatentBatch& latents, const prior::ChainIds& ids, std::int64_t unit) {
  const auto attempt = static_cast<std::uint32_t>(attempt_);
  auto levels = one_level_a_unit()
                    ? std::vector<std::int64_t>(ids.item.size(), prior::level_of_unit(schedule_, seed_, attempt, update_, unit))
                    : prior::draw_levels(schedule_, seed_, attempt, ids);
  return prior::make_pair(on_device(latents, device_), std::move(levels), schedule_, seed_, attempt, ids);  // which copies
}

prior::Gradient PriorTrainer::chain_gradient(const std::vector<std::int64_t>& levels) const {
  if (!power_in_chain_) {
    const auto potential = std::make_shared<prior::Potential>(prior_, backbone_, frozen_, levels);
    return [potential](const at::Tensor& u) { return potential->gradient(u); };
  }
  return [this, levels, step = std::int64_t{0}](const at::Tensor& u) mutable {
    const auto weights = prior_.chain_weights(sequences_, step++);
    return prior::Potential(prior_, backbone_, weights, levels).gradient(u);
  };
}

at::Tensor PriorTrainer::draw_negatives(const prior::NoisyPair& pair, const prior::ChainIds& ids) {
  const Timer timer;
  const RandomKey key{seed_, static_cast<std::uint32_t>(attempt_), Purpose::kLangevin};
  at::Tensor y = prior::run_langevin(pair.u_next, pair.u_next, pair.t, coefficients_, langevin_.steps, key, ids,
                                     chain_gradient(pair.t));
  if (device_.is_cpu()) stats_.chain_s += timer.seconds();  // a GPU may not have begun: only the update's time is known
  for (const auto t : pair.t) stats_.at(UpdateStats::kCount, static_cast<std::size_t>(t)) += 1;
  level_sums_.set_rows(nets::on_device(pair.t, device_));
  level_sums_.add(UpdateStats::kDisplacement, (y - pair.u_next).norm(2, 1));
  return y;
}

at::Tensor PriorTrainer::energies(std::size_t bucket, const at::Tensor& z, const at::Tensor& t) const {
  const prior::EnergyNet& net = prior_.bucket(bucket);
  const auto f_of = [&](const prior::EnergyNet::Weights& weights, const at::Tensor& rows, const at::Tensor& levels) {
    return net.forward(weights, net.select(weights, levels), rows);
  };
  if (!power_in_chain_) return f_of(net.weights(true), z, t);
  const auto zs = z.chunk(2), ts = t.chunk(2);
  const prior::PowerSequence& sequence = sequences_[bucket];
  return at::cat({f_of(net.loss_weights(sequence.positive), zs[0], ts[0]), f_of(net.loss_weights(sequence.negative), zs[1], ts[1])});
}

void PriorTrainer::learn(const prior::NoisyPair& pair, const at::Tensor& negatives) {
  const auto count = static_cast<std::int64_t>(pair.t.size());
  std::vector<at::Tensor> z;  // positives, then negatives: constants for the nets
  {
    const c10::NoGradGuard no_grad;
    z = backbone_.transport(at::cat({pair.u_t, negatives}));
  }
  const at::Tensor t = nets::on_device(pair.t, device_), t_both = at::cat({t, t});
  const at::Tensor weights = weight_of_level_.index_select(0, t), variances = variance_of_level_.index_select(0, t_both);
  const c10::AutoGradMode grad_on(true);
  for (std::size_t i = 0; i < z.size(); ++i) {
    const std::size_t bucket = prior_.set_of(pair.t) * prior_.num_layers() + i;
    const at::Tensor f = energies(bucket, z[i], t_both);  // [2 B]
    const at::Tensor loss = prior::contrastive_loss(f.narrow(0, 0, count), f.narrow(0, count, count), weights,
                                                    options_.l2, options_.batch);
    torch::autograd::backward({loss}, {});
    sum_.backward_done(bucket);
    const at::Tensor energies = f.detach().to(at::kDouble) / variances;  // f / s_t^2
    level_sums_.add(UpdateStats::kPositive + 2 * i, energies.narrow(0, 0, count));
    level_sums_.add(UpdateStats::kNegative + 2 * i, energies.narrow(0, count, count));
  }
}

// The only copy from the device in an update: statistics and the norms of the gradients.
void PriorTrainer::read_statistics() {
  std::vector<at::Tensor> parts = {level_sums_.sums().flatten()};
  for (std::size_t b = 0; b < prior_.num_buckets(); ++b) {
    parts.push_back(prior_.bucket(b).params().grad().norm().to(at::kDouble).unsqueeze(0));
  }
  const at::Tensor host = at::cat(parts).to(at::kCPU);
  const double* values = host.const_data_ptr<double>();
  for (double& sum : stats_.by_level) sum += *values++;
  gradient_norms_.assign(values, values + prior_.num_buckets());
}

void PriorTrainer::apply_gradients() {
  const double rate = nets::scheduled_rate(options_.rate_schedule(), update_);
  for (std::size_t b = 0; b < optimisers_.size(); ++b) {
    if (!active_[b]) continue;
    const double norm = gradient_norms_[b];
    if (options_.clip_norm > 0.0 && norm > options_.clip_norm) {
      prior_.bucket(b).params().grad().mul_(options_.clip_norm / norm);
    }
    optimisers_[b]->step(rate);
    emas_[b]->update(update_);
    if (power_in_chain_) {
      prior_.bucket(b).adopt(sequences_[b]);
    } else {
      prior_.bucket(b).power_iterate(power_iterations_);
    }
  }
}

// ---- the run around it ----------------------------------------------------------------------------------------------

Outcome PriorTrainer::run(const MakeSource& make_source, const StopFlag& stop, const Observer& observer) {
  const TrainingState live = state();
  if (const auto found = checkpoints_.restore(live)) adopt(*found);
  open_metrics();
  if (one_level_a_unit() && units_.count % schedule_.num_levels != 0) {
    logger_.line("note: {} units of work a batch for T = {}: levels come equally often only over many updates", units_.count, schedule_.num_levels);
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
    if (!std::isfinite(gradient_norms_[b])) return fmt::format("{} the gradient's norm is {}", prior_.bucket_name(b), gradient_norms_[b]);
  }
  return monitor_.observe(update_, stats_.gap(), stats_.counts());
}

void PriorTrainer::roll_back(const TrainingState& live, const std::string& why) {
  logger_.line("diverged at update {}: {}", update_, why);
  const std::int64_t attempt = attempt_ + 1;
  // All ranks judged the same sums: they give up together.
  if (attempt > options_.max_rollbacks) {
    throw comm::AgreedError(ExitCode::kDiverged,
                            fmt::format("training diverged at update {} ({}) and {} rollbacks are spent; take a smaller train.learning_rate "
                                        "or langevin.step (metrics.jsonl shows which t went first)",
                                        update_, why, options_.max_rollbacks));
  }
  // The newest checkpoint may already be on its way to diverging: go to the one before, where there is one.
  const auto found = checkpoints_.roll_back(live, std::max<std::int64_t>(1, checkpoints_.last_step()));
  if (!found) {
    throw comm::AgreedError(ExitCode::kDiverged, fmt::format("training diverged at update {} ({}) and no earlier checkpoint is left", update_, why));
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
  if (device_.is_cpu()) more.emplace_back("seconds/chain", stats_.chain_s / comm_.size());
  metrics_->write(update_, stats_, named_norms(), level_weights_, step_variances_, std::move(more));
}

}  // namespace hebm::train
