// F(u, t) = sum over layers of f_i(z_i, t), z = T_beta(u): the learned part of Eq. 9, and its
// gradient in u for the chains.
#pragma once
#include <ATen/core/Tensor.h>
#include <memory>
#include <vector>
#include "prior/chains.h"
#include "prior/energy_prior.h"
#include "prior/label_heads.h"
#include "prior/langevin.h"
#include "vae/backbone.h"

namespace hebm::prior {

// What the label heads of a prior need at t = 0.
struct LabelPart {
  double step_variance = 0;             // s_0^2
  const LabelChoice* choice = nullptr;  // null: summed over all categories
};

// The potential at frozen weights for chains at these levels: prepares biases once.
class Potential {
 public:
  // References (but chains) must outlive this object; weights by bucket. A prior with label heads
  // needs `labels` where a level is 0.
  Potential(const EnergyPrior& prior, const vae::Backbone& backbone, const std::vector<EnergyNet::Weights>& weights,
      const Chains& chains, const LabelPart& labels = {});
  // u [B, D] -> f_i [L][B] (differentiable in u), without the label heads: these belong to no layer
  // alone.
  std::vector<at::Tensor> by_layer(const at::Tensor& u) const;
  // f_i of one layer, [B].
  at::Tensor of_layer(const at::Tensor& u, std::size_t layer) const;
  // u [B, D] -> g of the label heads by layer, [L][B, label_rows(i)], undefined for layers without.
  std::vector<at::Tensor> label_outputs(const at::Tensor& u) const;
  // F = sum_i f_i -> [B]; at t = 0 of a prior with label heads F-hat (Eq. 18), or with the choice's
  // labels (Eq. 14).
  at::Tensor value(const at::Tensor& u) const;
  // dF / du at u, [B, D]; one backward to u only.
  at::Tensor gradient(const at::Tensor& u) const;
 private:
  EnergyNet::Outputs outputs(std::size_t layer, const at::Tensor& z) const;
  std::vector<at::Tensor> each_layer(const at::Tensor& u, at::Tensor EnergyNet::Outputs::*part) const;
  at::Tensor value_of(const std::vector<at::Tensor>& z) const;
  std::vector<at::Tensor> layer_gradients(const std::vector<at::Tensor>& z) const;

  const EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  const std::vector<EnergyNet::Weights>& weights_;
  std::size_t first_bucket_;
  std::vector<std::vector<at::Tensor>> biases_;  // [L][stage]
  LabelPart labels_;
  bool labelled_ = false;  // heads, and a level of 0
  at::Tensor at_zero_;     // [B] 1 where the level is 0, else 0
};

// Eq. 12 of one layer: -sum_b w_b (f+_b - f-_b) / global_batch + l2 * sum_b w_b (f+_b^2 + f-_b^2) /
// global_batch; its gradient is minus Eq. 12. positive, negative, weight [B].
at::Tensor contrastive_loss(const at::Tensor& positive, const at::Tensor& negative, const at::Tensor& weight, double l2,
    std::int64_t global_batch);

// The effective weights of all nets in one update: frozen, with power iterations behind the
// optimiser's step; or, as the authors have it (energy.power_iterations_in_chain), moved by a power
// iteration at every forward: K Langevin steps, positives, negatives. The parameters stay in an
// update, so all K + 2 iterations are made at its start, for any number of micro-batches.
class UpdateWeights {
 public:
  // References must outlive this object.
  UpdateWeights(EnergyPrior& prior, const EnergyOptions& energy, nets::Precision of_chains)
      : prior_(prior), energy_(energy), of_chains_(of_chains) {}
  bool steady() const { return !energy_.power_iterations_in_chain; }  // within an update
  // Before an update whose chains have K steps.
  void begin(std::int64_t chain_steps);
  // dF/du of a chain from its first step on, call by call. References must outlive the result.
  Gradient gradient(const vae::Backbone& backbone, const Chains& chains, const LabelPart& labels) const;
  // f of z's positives and negatives, [2 B], and g of the label heads, differentiable in the net's
  // parameters; t [2 B].
  EnergyNet::Outputs outputs(std::size_t bucket, const at::Tensor& z, const at::Tensor& t) const;
  // Behind the optimiser's step of this net.
  void end(std::size_t bucket) const;
 private:
  EnergyPrior& prior_;
  const EnergyOptions& energy_;
  nets::Precision of_chains_;
  std::vector<EnergyNet::Weights> frozen_;                // by bucket
  std::vector<std::vector<EnergyNet::Spectral>> moving_;  // in place of frozen_: by bucket, K + 2 each
};

}  // namespace hebm::prior
