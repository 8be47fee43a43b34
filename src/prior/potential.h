// F(u, t) = sum over layers of f_i(z_i, t), z = T_beta(u): the learned part of Eq. 9, and its
// gradient in u for the chains.
#pragma once
#include <ATen/core/Tensor.h>

#include <limits>
#include <memory>
#include <vector>

#include "prior/chains.h"
#include "prior/energy_net.h"
#include "prior/label_heads.h"
#include "prior/langevin.h"
#include "vae/backbone.h"

namespace hebm::prior {

// The energy nets of all layers, top first, in sets: one set that is told t, or (energy.per_level)
// one set for every t. Owns them.
class EnergyPrior {
 public:
  // max_values: nets of more parameters and vectors in all are Error(kCorrupt) before they are
  // allocated. heads: of the nets of t = 0.
  EnergyPrior(const EnergyOptions& options, const std::vector<LatentShape>& groups, const Schedule& schedule,
              std::uint64_t seed, at::ScalarType dtype = at::kFloat,
              std::int64_t max_values = std::numeric_limits<std::int64_t>::max(), LabelHeads heads = {});
  std::size_t num_layers() const { return num_layers_; }
  std::size_t num_sets() const { return nets_.size() / num_layers_; }
  const Schedule& schedule() const { return schedule_; }
  std::int64_t num_levels() const { return schedule_.num_levels; }
  bool per_level() const { return per_level_; }
  const LabelHeads& heads() const { return heads_; }
  // The set for these levels; with per_level all must be equal.
  std::size_t set_of(const std::vector<std::int64_t>& levels) const;
  // All nets as buckets: bucket = set * num_layers + layer.
  std::size_t num_buckets() const { return nets_.size(); }
  EnergyNet& bucket(std::size_t b) { return *nets_.at(b); }
  const EnergyNet& bucket(std::size_t b) const { return *nets_.at(b); }
  const EnergyNet& net(std::size_t set, std::size_t layer) const { return *nets_.at(set * num_layers_ + layer); }
  // "level2.layer0." (or "layer0." with one set).
  std::string bucket_name(std::size_t b) const;
  std::int64_t num_parameters() const;
  at::Device device() const { return nets_.at(0)->params().device(); }
  // Moves all nets (see nets::Parameters::to).
  void to(at::Device device);
  // Parameters and power-iteration vectors of all nets under their buckets' names.
  std::vector<nets::NamedTensor> named_tensors() const;
  // All tensors of a prior of the same nets, which may have no label heads: then these stay as they
  // are.
  void copy_from(const EnergyPrior& other);
  std::vector<EnergyNet::Weights> frozen_weights() const;  // by bucket
  // With energy.power_iterations_in_chain: of an update with K Langevin steps, and the weights of
  // step k; by bucket.
  std::vector<PowerSequence> power_sequences(std::int64_t chain_steps) const;
  std::vector<EnergyNet::Weights> chain_weights(const std::vector<PowerSequence>& sequences, std::int64_t step) const;

 private:
  Schedule schedule_;
  std::size_t num_layers_;
  bool per_level_;
  LabelHeads heads_;
  std::vector<std::unique_ptr<EnergyNet>> nets_;
};

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
  at::Tensor value_of(const std::vector<at::Tensor>& z) const;
  std::vector<at::Tensor> layer_gradients(const std::vector<at::Tensor>& z) const;

  const EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  const std::vector<EnergyNet::Weights>& weights_;
  std::size_t set_;
  std::vector<std::vector<at::Tensor>> biases_;  // [L][stage]
  LabelPart labels_;
  bool labelled_ = false;  // heads, and a level of 0
  at::Tensor at_zero_;     // [B] 1 where the level is 0, else 0
};

}  // namespace hebm::prior
