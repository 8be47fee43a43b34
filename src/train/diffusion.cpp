#include "train/diffusion.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>

namespace hebm::train {
// ---- Algorithm 1. Lines 1, 2 and 8, the loop and the optimiser's step, are TrainingLoop::run.

void DiffusionObjective::learn(const Work& work, GradientSum& gradients) {
  const LatentBatch latents = source_.read(work);  // line 3: u_0 ~ q(u_0 | x)
  const at::Tensor u_0 = on_device(latents, device_);
  const prior::ChainIds ids = ids_of(latents, in_.seed, work.update.attempt);
  if (on_reverse_chain(work.update)) return learn_reverse(ids, u_0, gradients);       // not Algorithm 1
  const prior::Chains chains = place_chains(ids, work);                               // line 4: t
  const prior::NoisyPair pair = prior::make_pair(chains, u_0, in_.prior.schedule());  // line 5: u_t, u_{t+1} (Eq. 7)
  const at::Tensor negatives = draw_negatives(chains, pair.u_next);  // line 6: K steps given u_{t+1} (Eq. 3, 13)
  const Contrast rows = make_contrast(ids, chains, pair, negatives);
  backward_by_layer(rows, gradients);  // line 7: the gradient of Eq. 12
}

prior::Chains DiffusionObjective::place_chains(const prior::ChainIds& ids, const Work& work) const {
  if (one_level_a_batch())  // train.levels = unit, the default: the images of a micro-batch share t
    return {ids, level_of(work.first, work.update), device_};
  return {ids, prior::draw_levels(in_.prior.schedule(), ids), device_};
}

at::Tensor DiffusionObjective::draw_negatives(const prior::Chains& chains, const at::Tensor& u_next) {
  const Timer timer;
  const prior::LabelPart labels{step_variances_[0], nullptr};  // F-hat (Eq. 18); nothing without label heads
  at::Tensor y = prior::langevin(chains, u_next, update_weights_.gradient(in_.backbone, chains, labels), coefficients_,
      in_.langevin.steps_at(chains.levels()[0]), {.steady = update_weights_.steady()});
  if (device_.is_cpu()) record_.add(kChainSeconds, timer.seconds());  // a GPU may not have begun
  return y;
}

DiffusionObjective::Contrast DiffusionObjective::make_contrast(const prior::ChainIds& ids, const prior::Chains& chains,
    const prior::NoisyPair& pair, const at::Tensor& negatives) {
  const c10::NoGradGuard no_grad;
  Contrast out;
  out.z = in_.backbone.transport(at::cat({pair.u_t, negatives}));  // Eq. 15: [L] of [2 B, c, h, w]
  out.t = chains.t();
  out.t_both = at::cat({out.t, out.t});
  out.weights = weight_of_level_.index_select(0, out.t);           // train.level_weight; flat: 1 / s_{T-1}^2
  out.variances = variance_of_level_.index_select(0, out.t_both);  // s_t^2
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
    if (contrast.last) gradients.backward_done(contrast.first_bucket + i);  // true; false only on the reverse chain
  }
}

DiffusionObjective::LayerLoss DiffusionObjective::layer_loss(const Contrast& contrast, std::size_t layer) {
  const c10::AutoGradMode grad_on(true);
  const std::int64_t count = contrast.t.size(0);
  const auto [f, labels] = update_weights_.outputs(contrast.first_bucket + layer, contrast.z[layer], contrast.t_both);
  const at::Tensor positive = f.narrow(0, 0, count), negative = f.narrow(0, count, count);
  const at::Tensor scaled = f.detach().to(at::kDouble) / contrast.variances;  // f / s_t^2
  record_.add_rows(kTerms + 2 * layer, scaled.narrow(0, 0, count));           // positives of layer i: kTerms + 2 i
  record_.add_rows(kTerms + 2 * layer + 1, scaled.narrow(0, count, count));   // its negatives: the next
  return {prior::contrastive_loss(positive, negative, contrast.weights, settings_.l2, global_rows_), labels};
}

// ---- an update's begin and end

Plan DiffusionObjective::begin(const Update& update) {
  update_weights_.begin(in_.langevin.steps);
  if (on_reverse_chain(update)) return plan_reverse(update);
  global_rows_ = settings_.batch;
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

void DiffusionObjective::after_update() {
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    if (active_[b]) update_weights_.end(b);
  }
}

std::int64_t DiffusionObjective::level_of(std::int64_t batch, const Update& update) const {
  if (settings_.only_zero) return 0;
  return prior::level_of_batch(in_.prior.schedule(), in_.seed, update.attempt, update.number, batch, batches_.count);
}

}  // namespace hebm::train
