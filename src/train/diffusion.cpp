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
  const LatentBatch latents = source_->next();  // line 3: u_0 ~ q(u_0 | x)
  const prior::ChainIds ids = ids_of(latents, in_.seed, work.update.attempt);
  const prior::Chains chains = place_chains(ids, work);  // line 4: t
  const prior::NoisyPair pair =
      prior::make_pair(chains, on_device(latents, device_), in_.prior.schedule());  // line 5: u_t and u_{t+1} (Eq. 7)
  const at::Tensor negatives = draw_negatives(chains, pair);   // line 6: K steps from u_{t+1} (Eq. 3, 13)
  descend(contrast(ids, chains, pair, negatives), gradients);  // line 7: the gradient of Eq. 12, by layer
}

prior::Chains DiffusionObjective::place_chains(const prior::ChainIds& ids, const Work& work) const {
  if (one_level_a_batch()) return {ids, level_of(work.first, work.update), device_};
  return {ids, prior::draw_levels(in_.prior.schedule(), ids), device_};
}

at::Tensor DiffusionObjective::draw_negatives(const prior::Chains& chains, const prior::NoisyPair& pair) {
  const Timer timer;
  at::Tensor y = prior::langevin(chains, pair.u_next, chain_gradient(chains), coefficients_,
      in_.langevin.steps_at(chains.levels()[0]), {.steady = !in_.energy.power_iterations_in_chain});
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
  return settings_.only_zero
             ? 0
             : prior::level_of_unit(in_.prior.schedule(), in_.seed, update.attempt, update.number, batch);
}

prior::Gradient DiffusionObjective::chain_gradient(const prior::Chains& chains) const {
  const prior::LabelPart labels{step_variances_[0], nullptr};  // F-hat: the negatives are of any label
  if (!in_.energy.power_iterations_in_chain) {
    const auto potential = std::make_shared<prior::Potential>(in_.prior, in_.backbone, frozen_, chains, labels);
    return [potential](const at::Tensor& u) { return potential->gradient(u); };
  }
  return [this, &chains, labels, step = std::int64_t{0}](const at::Tensor& u) mutable {
    const auto weights = in_.prior.chain_weights(sequences_, step++);
    return prior::Potential(in_.prior, in_.backbone, weights, chains, labels).gradient(u);
  };
}

DiffusionObjective::Contrast DiffusionObjective::contrast(const prior::ChainIds& ids, const prior::Chains& chains,
    const prior::NoisyPair& pair, const at::Tensor& negatives) {
  const c10::NoGradGuard no_grad;
  Contrast out;
  out.z = in_.backbone.transport(at::cat({pair.u_t, negatives}));
  out.t = chains.t();
  out.t_both = at::cat({out.t, out.t});
  out.weights = weight_of_level_.index_select(0, out.t);
  out.variances = variance_of_level_.index_select(0, out.t_both);
  out.images = ids.item;
  out.first_bucket = in_.prior.set_of(chains.levels()) * in_.prior.num_layers();
  out.has_zero = std::ranges::find(chains.levels(), 0) != chains.levels().end();
  record_.set_rows(out.t);
  record_.add_rows(kCount, at::ones_like(out.weights));
  record_.add_rows(kDisplacement, (negatives - pair.u_next).norm(2, 1));
  return out;
}

// f of z's positives and negatives, [2 B], and g of the label heads, differentiable in the net's
// parameters.
prior::EnergyNet::Outputs DiffusionObjective::energies(
    std::size_t bucket, const at::Tensor& z, const at::Tensor& t) const {
  const prior::EnergyNet& net = in_.prior.bucket(bucket);
  const auto outputs_of = [&](const prior::EnergyNet::Weights& weights, const at::Tensor& rows,
                              const at::Tensor& levels) {
    return net.outputs(weights, net.select(weights, levels), rows);
  };
  if (!in_.energy.power_iterations_in_chain) return outputs_of(net.weights(true), z, t);
  const auto zs = z.chunk(2), ts = t.chunk(2);
  const prior::PowerSequence& sequence = sequences_[bucket];
  const auto positive = outputs_of(net.loss_weights(sequence.positive), zs[0], ts[0]);
  const auto negative = outputs_of(net.loss_weights(sequence.negative), zs[1], ts[1]);
  return {at::cat({positive.f, negative.f}),
      positive.labels.defined() ? at::cat({positive.labels, negative.labels}) : at::Tensor()};
}

// ---- an update's begin and end

Plan DiffusionObjective::begin(const Update& update) {
  if (in_.energy.power_iterations_in_chain) {
    sequences_ = in_.prior.power_sequences(in_.langevin.steps);
  } else {
    frozen_ = in_.prior.frozen_weights();
  }
  Plan plan{std::vector<std::int64_t>(buckets_.size(), 0), std::vector<bool>(buckets_.size(), !in_.prior.per_level())};
  for (std::int64_t batch = 0; batch < batches_.count; ++batch) {
    const std::size_t set = in_.prior.per_level() ? static_cast<std::size_t>(level_of(batch, update)) : 0;
    for (std::size_t i = 0; i < in_.prior.num_layers(); ++i) {
      const std::size_t bucket = set * in_.prior.num_layers() + i;
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
    if (in_.energy.power_iterations_in_chain) {
      in_.prior.bucket(b).adopt(sequences_[b]);
    } else {
      in_.prior.bucket(b).power_iterate(in_.energy.power_iterations);
    }
  }
}

}  // namespace hebm::train
