#include "train/train_prior.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "base/error.h"
#include "nets/device.h"
#include "prior/forward_pair.h"
#include "prior/losses.h"

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
                           prior::EnergyPrior& prior, const prior::EnergyOptions& energy, const vae::Backbone& backbone,
                           std::uint64_t seed, std::filesystem::path directory, nlohmann::json identity,
                           comm::Communicator& comm, Logger& logger, const LabelTerm* labels)
    : options_(options),
      langevin_(langevin),
      prior_(prior),
      power_iterations_(energy.power_iterations),
      power_in_chain_(energy.power_iterations_in_chain),
      device_(prior.device()),
      backbone_(backbone),
      seed_(seed),
      directory_(std::move(directory)),
      comm_(comm),
      logger_(logger),
      labels_(labels),
      schedule_(prior.schedule()),
      coefficients_(prior::step_coefficients(schedule_, langevin)),
      level_weights_(prior::level_weights(schedule_, langevin, options.level_weight)),
      step_variances_(step_variances(schedule_, langevin)),
      weight_of_level_(nets::on_device(level_weights_, device_).to(at::kFloat)),
      variance_of_level_(nets::on_device(step_variances_, device_)),
      units_(options.batch, options.micro_batch, comm.rank(), comm.size(), "train.batch, train.micro_batch"),
      sum_(comm, buckets(prior), options.deterministic, units_.count),
      checkpoints_(directory_, std::move(identity), comm, logger, static_cast<int>(options.keep)),
      monitor_(prior.num_levels(), options.divergence_factor),
      stragglers_(StragglerMonitor::of(comm)),
      stats_(prior.num_layers(), prior.num_levels(), prior.heads().size()),
      level_sums_(stats_.num_fields(), prior.num_levels(), device_) {
  check(backbone.params().device() == device_, ExitCode::kRuntime,
        "prior training: the energy nets are on {}, the VAE on {}", device_.str(), backbone.params().device().str());
  options.expect_possible(prior.per_level(), comm.size());
  check(prior.heads() == (labels == nullptr ? prior::LabelHeads() : labels->heads()), ExitCode::kRuntime,
        "prior training: the prior's label heads and the labels do not belong together");
  check(
      langevin.steps_at(0) == langevin.steps || (one_level_a_unit() && !power_in_chain_), ExitCode::kUsage,
      "couple.steps = {} beside langevin.steps = {} needs train.levels = unit and no energy.power_iterations_in_chain",
      langevin.zero_steps, langevin.steps);
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) {
    optimisers_.push_back(std::make_unique<nets::Optimiser>(
        prior.bucket(b).params(), nets::OptimiserSettings{.rule = nets::Rule::kAdam,
                                                          .beta1 = options.beta1,
                                                          .beta2 = options.beta2,
                                                          .weight_decay = options.weight_decay}));
    emas_.push_back(std::make_unique<nets::Ema>(prior.bucket(b).params(), options.ema));
  }
}

void PriorTrainer::update(LatentSource& source) {
  const Timer timer;
  if (power_in_chain_) {
    sequences_ = prior_.power_sequences(langevin_.steps);
  } else {
    frozen_ = prior_.frozen_weights();
  }
  stats_ = UpdateStats(prior_.num_layers(), schedule_.num_levels, prior_.heads().size());
  level_sums_.zero();
  sum_.begin(plan_update());
  for (std::int64_t unit = units_.first; unit < units_.last; ++unit) {
    const LatentBatch latents = source.next();  // line 3: u_0 ~ q(u_0 | x)
    const prior::ChainIds ids = ids_of(latents);
    const prior::NoisyPair pair = draw_pair(latents, ids, unit);  // lines 4, 5: t, then u_t and u_{t+1} (Eq. 7)
    const at::Tensor negatives = draw_negatives(pair, ids);       // line 6: K Langevin steps from u_{t+1} (Eq. 3, 13)
    learn(pair, negatives, ids);                                  // line 7: the gradient of Eq. 12, layer by layer
  }
  stats_.unit_s = timer.seconds() / static_cast<double>(units_.last - units_.first);
  sum_.finish();  // over micro-batches and ranks
  read_statistics();
}

std::int64_t PriorTrainer::unit_level(std::int64_t unit) const {
  return options_.only_zero
             ? 0
             : prior::level_of_unit(schedule_, seed_, static_cast<std::uint32_t>(attempt_), update_, unit);
}

std::vector<std::int64_t> PriorTrainer::plan_update() {
  std::vector<std::int64_t> local(prior_.num_buckets(), 0);
  active_.assign(prior_.num_buckets(), !prior_.per_level());
  for (std::int64_t unit = 0; unit < units_.count; ++unit) {
    const std::size_t set = prior_.per_level() ? static_cast<std::size_t>(unit_level(unit)) : 0;
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
  auto levels = one_level_a_unit() || options_.only_zero ? std::vector<std::int64_t>(ids.item.size(), unit_level(unit))
                                                         : prior::draw_levels(schedule_, seed_, attempt, ids);
  return prior::make_pair(on_device(latents, device_), std::move(levels), schedule_, seed_, attempt,
                          ids);  // which copies
}

prior::Gradient PriorTrainer::chain_gradient(const std::vector<std::int64_t>& levels) const {
  const prior::LabelPart labels{step_variances_[0], nullptr};  // F-hat: the negatives are of any label
  if (!power_in_chain_) {
    const auto potential = std::make_shared<prior::Potential>(prior_, backbone_, frozen_, levels, labels);
    return [potential](const at::Tensor& u) { return potential->gradient(u); };
  }
  return [this, levels, labels, step = std::int64_t{0}](const at::Tensor& u) mutable {
    const auto weights = prior_.chain_weights(sequences_, step++);
    return prior::Potential(prior_, backbone_, weights, levels, labels).gradient(u);
  };
}

at::Tensor PriorTrainer::draw_negatives(const prior::NoisyPair& pair, const prior::ChainIds& ids) {
  const Timer timer;
  const RandomKey key{seed_, static_cast<std::uint32_t>(attempt_), Purpose::kLangevin};
  at::Tensor y = prior::run_langevin(pair.u_next, pair.u_next, pair.t, coefficients_, langevin_.steps_at(pair.t[0]),
                                     key, ids, chain_gradient(pair.t), {}, {}, /*steady=*/!power_in_chain_);
  if (device_.is_cpu()) stats_.chain_s += timer.seconds();  // a GPU may not have begun: only the update's time is known
  for (const auto t : pair.t) stats_.at(UpdateStats::kCount, static_cast<std::size_t>(t)) += 1;
  level_sums_.set_rows(nets::on_device(pair.t, device_));
  level_sums_.add(UpdateStats::kDisplacement, (y - pair.u_next).norm(2, 1));
  return y;
}

prior::EnergyNet::Outputs PriorTrainer::energies(std::size_t bucket, const at::Tensor& z, const at::Tensor& t) const {
  const prior::EnergyNet& net = prior_.bucket(bucket);
  const auto outputs_of = [&](const prior::EnergyNet::Weights& weights, const at::Tensor& rows,
                              const at::Tensor& levels) {
    return net.outputs(weights, net.select(weights, levels), rows);
  };
  if (!power_in_chain_) return outputs_of(net.weights(true), z, t);
  const auto zs = z.chunk(2), ts = t.chunk(2);
  const prior::PowerSequence& sequence = sequences_[bucket];
  const auto positive = outputs_of(net.loss_weights(sequence.positive), zs[0], ts[0]);
  const auto negative = outputs_of(net.loss_weights(sequence.negative), zs[1], ts[1]);
  return {at::cat({positive.f, negative.f}),
          positive.labels.defined() ? at::cat({positive.labels, negative.labels}) : at::Tensor()};
}

void PriorTrainer::learn(const prior::NoisyPair& pair, const at::Tensor& negatives, const prior::ChainIds& ids) {
  const auto count = static_cast<std::int64_t>(pair.t.size());
  std::vector<at::Tensor> z;  // positives, then negatives: constants for the nets
  {
    const c10::NoGradGuard no_grad;
    z = backbone_.transport(at::cat({pair.u_t, negatives}));
  }
  const at::Tensor t = nets::on_device(pair.t, device_), t_both = at::cat({t, t});
  const at::Tensor weights = weight_of_level_.index_select(0, t),
                   variances = variance_of_level_.index_select(0, t_both);
  const bool labelled = labels_ != nullptr && std::find(pair.t.begin(), pair.t.end(), 0) != pair.t.end();
  at::Tensor layers_loss;                 // with labels, which couple the layers: their losses' sum
  std::vector<at::Tensor> label_outputs;  // by layer
  const c10::AutoGradMode grad_on(true);
  for (std::size_t i = 0; i < z.size(); ++i) {
    const std::size_t bucket = prior_.set_of(pair.t) * prior_.num_layers() + i;
    const auto [f, labels] = energies(bucket, z[i], t_both);  // [2 B]
    const at::Tensor loss =
        prior::contrastive_loss(f.narrow(0, 0, count), f.narrow(0, count, count), weights, options_.l2, options_.batch);
    if (labelled) {
      layers_loss = layers_loss.defined() ? layers_loss + loss : loss;
      label_outputs.push_back(labels);
    } else {
      torch::autograd::backward({loss}, {});
      sum_.backward_done(bucket);
    }
    const at::Tensor energies = f.detach().to(at::kDouble) / variances;  // f / s_t^2
    level_sums_.add(UpdateStats::kPositive + 2 * i, energies.narrow(0, 0, count));
    level_sums_.add(UpdateStats::kNegative + 2 * i, energies.narrow(0, count, count));
  }
  if (labelled) learn_labelled(layers_loss, label_outputs, pair, weights, ids);
}

void PriorTrainer::learn_labelled(const at::Tensor& layers_loss, const std::vector<at::Tensor>& outputs,
                                  const prior::NoisyPair& pair, const at::Tensor& weights, const prior::ChainIds& ids) {
  const at::Tensor at_zero = nets::on_device(pair.t, device_).eq(0);
  const auto heads = labels_->losses(outputs, labels_->of_images(ids.item).to(device_), weights * at_zero,
                                     step_variances_[0], options_.batch);
  at::Tensor loss = layers_loss;
  for (const auto& head : heads) loss = loss + head.loss;
  torch::autograd::backward({loss}, {});
  for (std::size_t i = 0; i < prior_.num_layers(); ++i)
    sum_.backward_done(prior_.set_of(pair.t) * prior_.num_layers() + i);
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const std::size_t field = stats_.head(h);
    const auto add = [&](std::size_t which, const at::Tensor& values) {
      level_sums_.add(field + which, (values * at_zero).to(at::kDouble));
    };
    add(UpdateStats::kHeadPositive, heads[h].positive);
    add(UpdateStats::kHeadNegative, heads[h].negative);
    add(UpdateStats::kCrossEntropy, heads[h].cross_entropy);
    add(UpdateStats::kHits, heads[h].hits);
  }
}

void PriorTrainer::read_statistics() {
  const at::Tensor host = level_sums_.sums().flatten().to(at::kCPU);
  const double* values = host.const_data_ptr<double>();
  for (double& sum : stats_.by_level) sum += *values++;
  gradient_norms_.clear();
  for (std::size_t b = 0; b < prior_.num_buckets(); ++b)
    gradient_norms_.push_back(gradient_norm(prior_.bucket(b).params()));
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

}  // namespace hebm::train
