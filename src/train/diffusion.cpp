#include "train/diffusion.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <utility>
#include "base/error.h"
#include "nets/device.h"

namespace hebm::train {
namespace {

std::vector<double> step_variances(const prior::Schedule& schedule, const prior::LangevinOptions& langevin) {
  std::vector<double> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) out.push_back(prior::step_variance(schedule, langevin, t));
  return out;
}

}  // namespace

// ---- Algorithm 1. Lines 1, 2 and 8, the loop and the optimiser's step, are TrainingLoop::run.

void DiffusionObjective::learn(const Work& work, GradientSum& gradients) {
  const LatentBatch latents = source_.read(work);  // line 3: u_0 ~ q(u_0 | x)
  const prior::ChainIds ids = ids_of(latents, in_.seed, work.update.attempt);
  const prior::Chains chains = place_chains(ids, work);  // line 4: t
  const prior::NoisyPair pair =
      prior::make_pair(chains, on_device(latents, device_), in_.prior.schedule());  // line 5: u_t and u_{t+1} (Eq. 7)
  const at::Tensor negatives = draw_negatives(chains, pair);  // line 6: K steps from u_{t+1} (Eq. 3, 13)
  const Contrast rows = make_contrast(ids, chains, pair, negatives);
  backward_by_layer(rows, gradients);  // line 7: the gradient of Eq. 12
}

prior::Chains DiffusionObjective::place_chains(const prior::ChainIds& ids, const Work& work) const {
  if (one_level_a_batch()) return {ids, level_of(work.first, work.update), device_};
  return {ids, prior::draw_levels(in_.prior.schedule(), ids), device_};
}

at::Tensor DiffusionObjective::draw_negatives(const prior::Chains& chains, const prior::NoisyPair& pair) {
  const Timer timer;
  const prior::LabelPart labels{step_variances_[0], nullptr};  // F-hat (Eq. 18); nothing without label heads
  at::Tensor y = prior::langevin(chains, pair.u_next, weights_.gradient(in_.backbone, chains, labels), coefficients_,
      in_.langevin.steps_at(chains.levels()[0]), {.steady = weights_.steady()});
  if (device_.is_cpu()) record_.add(kChainSeconds, timer.seconds());  // a GPU may not have begun
  return y;
}

DiffusionObjective::Contrast DiffusionObjective::make_contrast(const prior::ChainIds& ids, const prior::Chains& chains,
    const prior::NoisyPair& pair, const at::Tensor& negatives) {
  const c10::NoGradGuard no_grad;
  Contrast out;
  out.z = in_.backbone.transport(at::cat({pair.u_t, negatives}));
  out.t = chains.t();
  out.t_both = at::cat({out.t, out.t});
  out.weights = weight_of_level_.index_select(0, out.t);
  out.variances = variance_of_level_.index_select(0, out.t_both);
  out.images = ids.item;
  out.first_bucket = in_.prior.first_bucket(chains.levels());
  out.has_zero = std::ranges::find(chains.levels(), 0) != chains.levels().end();
  record_.set_rows(out.t);
  record_.add_rows(kCount, at::ones_like(out.weights));
  record_.add_rows(kDisplacement, (negatives - pair.u_next).norm(2, 1));
  return out;
}

void DiffusionObjective::backward_by_layer(const Contrast& contrast, GradientSum& gradients) {
  for (std::size_t i = 0; i < contrast.z.size(); ++i) {  // a graph a layer: inputs are constants
    torch::autograd::backward({layer_loss(contrast, i).loss}, {});
    gradients.backward_done(contrast.first_bucket + i);
  }
}

DiffusionObjective::LayerLoss DiffusionObjective::layer_loss(const Contrast& contrast, std::size_t layer) {
  const c10::AutoGradMode grad_on(true);
  const std::int64_t count = contrast.t.size(0);
  const auto [f, labels] = weights_.outputs(contrast.first_bucket + layer, contrast.z[layer], contrast.t_both);
  const at::Tensor positive = f.narrow(0, 0, count), negative = f.narrow(0, count, count);
  const at::Tensor scaled = f.detach().to(at::kDouble) / contrast.variances;  // f / s_t^2
  record_.add_rows(kTerms + 2 * layer, scaled.narrow(0, 0, count));
  record_.add_rows(kTerms + 2 * layer + 1, scaled.narrow(0, count, count));
  return {prior::contrastive_loss(positive, negative, contrast.weights, settings_.l2, settings_.batch), labels};
}

// ---- before a training

DiffusionObjective::DiffusionObjective(
    const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run, const prior::LabelHeads& heads)
    : Objective(options, buckets_of(in.prior),
          Recorder(kTerms + 2 * in.prior.num_layers() + 4 * heads.size(), in.prior.num_levels(), in.prior.device()),
          run.comm),
      settings_(options),
      in_(in),
      num_terms_(in.prior.num_layers() + heads.size()),
      step_variances_(step_variances(in.prior.schedule(), in.langevin)),
      device_(in.prior.device()),
      num_ranks_(run.comm.size()),
      coefficients_(prior::step_coefficients(in.prior.schedule(), in.langevin)),
      level_weights_(prior::level_weights(in.prior.schedule(), in.langevin, options.level_weight)),
      weight_of_level_(nets::on_device(level_weights_, device_).to(at::kFloat)),
      variance_of_level_(nets::on_device(step_variances_, device_)),
      monitor_(in.prior.num_levels(), options.divergence_factor),
      weights_(in.prior, in.energy, in.langevin.precision) {
  nets::require_precision(in.langevin.precision, device_);
  check(in_.backbone.params().device() == device_, ExitCode::kRuntime,
      "prior training: the energy nets are on {}, the VAE on {}", device_.str(), in_.backbone.params().device().str());
  options.expect_possible(in_.prior.per_level(), num_ranks_);
  check(in_.prior.heads() == heads, ExitCode::kRuntime,
      "prior training: the prior's label heads and the labels do not belong together");
  check(in_.langevin.steps_at(0) == in_.langevin.steps ||
            (settings_.levels == Levels::kMicroBatch && !in_.energy.power_iterations_in_chain),
      ExitCode::kUsage,
      "couple.steps = {} beside langevin.steps = {} needs train.levels = unit and no energy.power_iterations_in_chain",
      in_.langevin.zero_steps, in_.langevin.steps);
  if (settings_.levels == Levels::kMicroBatch && !settings_.only_zero &&
      batches_.count % in_.prior.schedule().num_levels != 0) {
    run.logger.line("note: {} micro-batches a batch for T = {}: levels come equally often only over many updates",
        batches_.count, in_.prior.schedule().num_levels);
  }
}

void DiffusionObjective::resume(std::int64_t update, const nlohmann::json& saved) {
  monitor_.restore(saved.value("gaps", nlohmann::json::array()));
  source_ = in_.make_source(batches_, update);
}

// ---- an update's begin and end

Plan DiffusionObjective::begin(const Update& update) {
  weights_.begin(in_.langevin.steps);
  Plan plan{std::vector<std::int64_t>(buckets_.size(), 0), std::vector<bool>(buckets_.size(), !in_.prior.per_level())};
  for (std::int64_t batch = 0; batch < batches_.count; ++batch) {
    const std::size_t first = in_.prior.first_bucket({level_of(batch, update)});
    for (std::size_t bucket = first; bucket < first + in_.prior.num_layers(); ++bucket) {
      plan.active[bucket] = true;
      if (batch >= batches_.first && batch < batches_.last) ++plan.local_passes[bucket];
    }
  }
  active_ = plan.active;
  return plan;
}

std::string DiffusionObjective::judge(const Update& update, const std::string& of_gradients) {
  return of_gradients.empty() ? monitor_.observe(update.number, gaps(), counts()) : of_gradients;
}

std::vector<double> DiffusionObjective::counts() const {
  std::vector<double> out;
  for (std::size_t t = 0; t < step_variances_.size(); ++t) out.push_back(record_.at(kCount, t));
  return out;
}

std::vector<double> DiffusionObjective::gaps() const {
  std::vector<double> out = counts();
  for (std::size_t t = 0; t < out.size(); ++t) {
    const double count = std::exchange(out[t], 0.0);
    for (std::size_t field = kTerms; count > 0.0 && field < kTerms + 2 * num_terms_; field += 2)
      out[t] += (record_.at(field, t) - record_.at(field + 1, t)) / count;
  }
  return out;
}

void DiffusionObjective::after_update() {
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    if (active_[b]) weights_.end(b);
  }
}

std::int64_t DiffusionObjective::level_of(std::int64_t batch, const Update& update) const {
  if (settings_.only_zero) return 0;
  return prior::level_of_batch(in_.prior.schedule(), in_.seed, update.attempt, update.number, batch);
}

}  // namespace hebm::train
