#include "train/vae_update.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <utility>
#include "nets/optimiser.h"
#include "nets/planned_memory.h"
#include "train/train_vae.h"

namespace hebm::train {

VaeLoss vae_backward(
    const vae::Backbone& backbone, vae::BatchStatistics* statistics, VaeInput::Batch batch, const VaeTerms& terms) {
  const c10::AutoGradMode grad_on(true);
  VaeLoss out;
  at::Tensor loss, of_penalty;
  {
    if (statistics != nullptr) statistics->begin_update(terms.penalised);
    const vae::Posterior q = statistics != nullptr ? statistics->posterior(batch.x, batch.eps)
                                                   : backbone.posterior(batch.x, batch.eps);  // z ~ q(z | x)
    const at::Tensor logits = statistics != nullptr ? statistics->decode(q) : backbone.decode_posterior(q);
    const at::Tensor log_px = backbone.log_likelihood(logits, batch.x).sum();  // log p(x | z)
    batch = {};
    loss = -log_px;
    out.log_likelihood = log_px.detach();
    const std::vector<double> weights = terms.kl_weights(q.kl);
    for (std::size_t i = 0; i < q.kl.size(); ++i) {
      const at::Tensor kl = q.kl[i].view({-1, terms.micro_batch}).sum(1);  // KL of layer i, by micro-batch
      loss = loss + weights[i] * kl.clamp_min(terms.free_bits * static_cast<double>(terms.micro_batch)).sum();
      out.kl.push_back(kl.detach().sum());
    }
  }
  loss = loss / static_cast<double>(terms.batch);  // the mean over the global batch, made once
  out.loss = loss.detach();
  if (terms.penalised) {
    // Every rank has the same penalty: each gives its share, for the sum over ranks.
    out.penalty = statistics->penalty() / static_cast<double>(terms.ranks);
    out.loss = out.loss + terms.penalty_weight * out.penalty;
    of_penalty = at::full({}, terms.penalty_weight, loss.options()) / static_cast<double>(terms.ranks);
  }
  torch::autograd::backward({std::exchange(loss, {})}, {});
  if (statistics != nullptr) statistics->end_update(of_penalty);
  return out;
}

std::int64_t vae_training_bytes(const VaeTrainOptions& options, vae::Backbone& backbone, std::int64_t images) {
  const auto statistics = backbone.batch_statistics({}, 0);
  if (statistics) statistics->recompute(options.recompute);
  const auto like = backbone.params().flat().options();
  const auto make = [&](std::int64_t count) -> VaeInput::Batch {
    const ImageShape& image = backbone.image_shape();
    return {
        at::empty({count, image.channels, image.height, image.width}, like), at::empty({count, backbone.dim()}, like)};
  };
  const VaeTerms terms{.batch = options.batch,
      .micro_batch = images,
      .penalised = options.spectral > 0.0,
      .kl_weights = [](const auto& kl) { return std::vector<double>(kl.size(), 1.0); }};
  const std::int64_t goes_back = goes_back_from(options.recompute);
  const std::int64_t update =
      nets::planned_peak([&] { vae_backward(backbone, statistics.get(), make(images), terms); }, goes_back);
  nets::Optimiser optimiser(backbone.params(), options.optimiser);
  const std::int64_t step = nets::planned_peak([&] { optimiser.step(1.0); }, goes_back);
  const std::int64_t measured = nets::planned_peak(
      [&] {
        const c10::NoGradGuard no_grad;
        const auto batch = make(measured_at_once(backbone.image_shape()));
        const auto q = backbone.posterior(batch.x, batch.eps);
        backbone.log_likelihood(backbone.decode_posterior(q), batch.x);
      },
      goes_back);
  return std::max({update, step, measured});
}

}  // namespace hebm::train
