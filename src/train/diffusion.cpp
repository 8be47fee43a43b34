#include "train/diffusion.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "base/error.h"
#include "nets/device.h"
#include "prior/losses.h"

namespace hebm::train {

// ---- Algorithm 1. Lines 1, 2 and 8, the loop and the optimiser's step, are TrainingLoop::run.

void DiffusionObjective::learn(const Work& work, GradientSum& gradients) {
  const LatentBatch latents = source_->next();  // line 3: u_0 ~ q(u_0 | x)
  const prior::ChainIds ids = ids_of(latents);
  const prior::NoisyPair pair = draw_pair(latents, ids, work);          // lines 4, 5: t, then u_t and u_{t+1} (Eq. 7)
  const at::Tensor negatives = draw_negatives(pair, ids, work.update);  // line 6: K steps from u_{t+1} (Eq. 3, 13)
  descend(contrast(pair, negatives, ids), gradients);                   // line 7: the gradient of Eq. 12, by layer
}

prior::NoisyPair DiffusionObjective::draw_pair(const LatentBatch& latents, const prior::ChainIds& ids,
                                               const Work& work) const {
  const Update& update = work.update;
  auto levels = one_level_a_batch() ? std::vector<std::int64_t>(ids.item.size(), level_of(work.first, update))
                                    : prior::draw_levels(schedule_, seed_, update.attempt, ids);
  return prior::make_pair(on_device(latents, device_), std::move(levels), schedule_, seed_, update.attempt, ids);
}

at::Tensor DiffusionObjective::draw_negatives(const prior::NoisyPair& pair, const prior::ChainIds& ids,
                                              const Update& update) {
  const Timer timer;
  at::Tensor y = prior::run_langevin(pair.u_next, pair.u_next, pair.t, coefficients_, langevin_.steps_at(pair.t[0]),
                                     {seed_, update.attempt, Purpose::kLangevin}, ids, chain_gradient(pair.t), {}, {},
                                     /*steady=*/!power_in_chain_);
  if (device_.is_cpu()) record_.add(kChainSeconds, timer.seconds());  // a GPU may not have begun
  return y;
}

void DiffusionObjective::descend(const Contrast& contrast, GradientSum& gradients) {
  for (std::size_t i = 0; i < contrast.z.size(); ++i) {  // a graph a layer: inputs are constants
    torch::autograd::backward({layer_loss(contrast, i).loss}, {});
    gradients.backward_done(contrast.first_bucket + i);
  }
}

DiffusionObjective::LayerLoss DiffusionObjective::layer_loss(const Contrast& contrast, std::size_t layer) {
  const c10::AutoGradMode grad_on(true);
  const std::int64_t count = contrast.t.size(0);
  const auto [f, labels] = energies(contrast.first_bucket + layer, contrast.z[layer], contrast.t_both);  // [2 B]
  const at::Tensor positive = f.narrow(0, 0, count), negative = f.narrow(0, count, count);
  const at::Tensor scaled = f.detach().to(at::kDouble) / contrast.variances;  // f / s_t^2
  record_.add_rows(kTerms + 2 * layer, scaled.narrow(0, 0, count));
  record_.add_rows(kTerms + 2 * layer + 1, scaled.narrow(0, count, count));
  return {prior::contrastive_loss(positive, negative, contrast.weights, settings_.l2, settings_.batch), labels};
}

// ---- what its lines need

std::int64_t DiffusionObjective::level_of(std::int64_t batch, const Update& update) const {
  return settings_.only_zero ? 0 : prior::level_of_unit(schedule_, seed_, update.attempt, update.number, batch);
}

prior::Gradient DiffusionObjective::chain_gradient(const std::vector<std::int64_t>& levels) const {
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

DiffusionObjective::Contrast DiffusionObjective::contrast(const prior::NoisyPair& pair, const at::Tensor& negatives,
                                                          const prior::ChainIds& ids) {
  const c10::NoGradGuard no_grad;
  Contrast out;
  out.z = backbone_.transport(at::cat({pair.u_t, negatives}));
  out.t = nets::on_device(pair.t, device_);
  out.t_both = at::cat({out.t, out.t});
  out.weights = weight_of_level_.index_select(0, out.t);
  out.variances = variance_of_level_.index_select(0, out.t_both);
  out.images = ids.item;
  out.first_bucket = prior_.set_of(pair.t) * prior_.num_layers();
  out.has_zero = std::find(pair.t.begin(), pair.t.end(), 0) != pair.t.end();
  record_.set_rows(out.t);
  record_.add_rows(kCount, at::ones_like(out.weights));
  record_.add_rows(kDisplacement, (negatives - pair.u_next).norm(2, 1));
  return out;
}

// f of z's positives and negatives, [2 B], and g of the label heads, differentiable in the net's parameters.
prior::EnergyNet::Outputs DiffusionObjective::energies(std::size_t bucket, const at::Tensor& z,
                                                       const at::Tensor& t) const {
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

// ---- an update's begin and end

Plan DiffusionObjective::begin(const Update& update) {
  if (power_in_chain_) {
    sequences_ = prior_.power_sequences(langevin_.steps);
  } else {
    frozen_ = prior_.frozen_weights();
  }
  Plan plan{std::vector<std::int64_t>(buckets_.size(), 0), std::vector<bool>(buckets_.size(), !prior_.per_level())};
  for (std::int64_t batch = 0; batch < batches_.count; ++batch) {
    const std::size_t set = prior_.per_level() ? static_cast<std::size_t>(level_of(batch, update)) : 0;
    for (std::size_t i = 0; i < prior_.num_layers(); ++i) {
      const std::size_t bucket = set * prior_.num_layers() + i;
      plan.active[bucket] = true;
      if (batch >= batches_.first && batch < batches_.last) ++plan.local_passes[bucket];
    }
  }
  active_ = plan.active;
  return plan;
}

void DiffusionObjective::after_update() {
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    if (!active_[b]) continue;
    if (power_in_chain_) {
      prior_.bucket(b).adopt(sequences_[b]);
    } else {
      prior_.bucket(b).power_iterate(power_iterations_);
    }
  }
}

// ---- set-up

std::vector<Bucket> buckets_of(prior::EnergyPrior& prior) {
  std::vector<Bucket> out;
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) out.push_back({prior.bucket_name(b), prior.bucket(b).params()});
  return out;
}

namespace {

std::vector<double> step_variances(const prior::Schedule& schedule, const prior::LangevinOptions& langevin) {
  std::vector<double> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) out.push_back(prior::step_variance(schedule, langevin, t));
  return out;
}

}  // namespace

DiffusionObjective::DiffusionObjective(const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run,
                                       std::size_t num_heads)
    : Objective(options, buckets_of(in.prior),
                Recorder(kTerms + 2 * (in.prior.num_layers() + num_heads) + 2 * num_heads, in.prior.num_levels(),
                         in.prior.device()),
                run.comm),
      settings_(options),
      prior_(in.prior),
      num_terms_(in.prior.num_layers() + num_heads),
      step_variances_(step_variances(in.prior.schedule(), in.langevin)),
      backbone_(in.backbone),
      langevin_(in.langevin),
      power_iterations_(in.energy.power_iterations),
      power_in_chain_(in.energy.power_iterations_in_chain),
      device_(in.prior.device()),
      seed_(in.seed),
      num_ranks_(run.comm.size()),
      schedule_(in.prior.schedule()),
      coefficients_(prior::step_coefficients(schedule_, in.langevin)),
      level_weights_(prior::level_weights(schedule_, in.langevin, options.level_weight)),
      weight_of_level_(nets::on_device(level_weights_, device_).to(at::kFloat)),
      variance_of_level_(nets::on_device(step_variances_, device_)),
      monitor_(in.prior.num_levels(), options.divergence_factor),
      make_source_(in.make_source) {
  check(backbone_.params().device() == device_, ExitCode::kRuntime,
        "prior training: the energy nets are on {}, the VAE on {}", device_.str(), backbone_.params().device().str());
  options.expect_possible(prior_.per_level(), num_ranks_);
  check(prior_.heads().size() == num_heads, ExitCode::kRuntime,
        "prior training: the prior's label heads and the labels do not belong together");
  check(
      langevin_.steps_at(0) == langevin_.steps || (settings_.levels == "unit" && !power_in_chain_), ExitCode::kUsage,
      "couple.steps = {} beside langevin.steps = {} needs train.levels = unit and no energy.power_iterations_in_chain",
      langevin_.zero_steps, langevin_.steps);
  if (settings_.levels == "unit" && !settings_.only_zero && batches_.count % schedule_.num_levels != 0) {
    run.logger.line("note: {} units of work a batch for T = {}: levels come equally often only over many updates",
                    batches_.count, schedule_.num_levels);
  }
}

void DiffusionObjective::resume(std::int64_t update, const nlohmann::json& saved) {
  monitor_.restore(saved.value("gaps", nlohmann::json::array()));
  source_ = make_source_(batches_, update);
}

}  // namespace hebm::train
