// Forward and backward of one update of a VAE (Sec. 2.1): log p(x) >= E_q log p(x | z) - sum_i
// KL(q(z_i | x, z_<i) || p(z_i | z_<i)); the KL terms carry weights.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <vector>
#include "nets/planned_memory.h"
#include "train/measure.h"
#include "vae/backbone.h"

namespace hebm::train {

struct VaeTerms {
  std::int64_t batch = 0;        // images of the global batch: the loss is their mean
  std::int64_t micro_batch = 0;  // free_bits hold for the mean over so many images
  int ranks = 1;
  double free_bits = 0.0;  // nats a layer and image that cost nothing
  bool penalised = false;  // by the regulariser of all layers
  double penalty_weight = 0.0;
  // Of the layers; kl: [L] of [B], nats.
  std::function<std::vector<double>(const std::vector<at::Tensor>& kl)> kl_weights;
};

// Scalars, this rank's share.
struct VaeLoss {
  at::Tensor loss, log_likelihood;
  std::vector<at::Tensor> kl;  // [L]
  at::Tensor penalty;          // undefined where there is none
};

// Adds the loss's gradient to the backbone's. statistics: null for a backbone without batch norm.
VaeLoss vae_backward(
    const vae::Backbone& backbone, vae::BatchStatistics* statistics, VaeInput::Batch batch, const VaeTerms& terms);

// Bytes at the peak of a training's steps beside 20 a weight (weight, gradient, two moments,
// average): update of so many images, optimiser, measured ELBO. Of a backbone without data (kMeta).
struct VaeTrainOptions;
inline std::int64_t goes_back_from(bool recompute) { return recompute ? nets::kGoesBackLean : nets::kGoesBack; }
std::int64_t vae_training_bytes(const VaeTrainOptions& options, vae::Backbone& backbone, std::int64_t images);

}  // namespace hebm::train
