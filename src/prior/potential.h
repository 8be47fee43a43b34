// F(u, t) = sum over layers of f_i(z_i, t), z = T_beta(u): the learned part of Eq. 9, and its gradient in u for the chains.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "prior/energy_net.h"
#include "prior/langevin.h"
#include "vae/backbone.h"

namespace hebm::prior {

// The energy nets of all layers, top first. Owns them.
class EnergyPrior {
 public:
  EnergyPrior(const EnergyOptions& options, const std::vector<LatentShape>& groups, std::int64_t num_levels,
              std::uint64_t seed, at::ScalarType dtype = at::kFloat);
  std::size_t num_layers() const { return nets_.size(); }
  EnergyNet& layer(std::size_t i) { return *nets_.at(i); }
  const EnergyNet& layer(std::size_t i) const { return *nets_.at(i); }
  std::int64_t num_levels() const { return num_levels_; }
  std::int64_t num_parameters() const;
  // "layer0.conv0.weight_orig", ...: parameters and power-iteration vectors of all layers.
  std::vector<nets::NamedTensor> named_tensors() const;
  std::vector<EnergyNet::Weights> weights(bool with_grad) const;

 private:
  std::int64_t num_levels_;
  std::vector<std::unique_ptr<EnergyNet>> nets_;
};

// The potential at frozen weights for the chains of one micro-batch (fixed t): prepares embeddings once.
class Potential {
 public:
  // References must outlive this object. t [B] int64.
  Potential(const EnergyPrior& prior, const vae::Backbone& backbone, const std::vector<EnergyNet::Weights>& weights,
            const at::Tensor& t);
  // u [B, D] -> f_i [L][B] (differentiable in u).
  std::vector<at::Tensor> by_layer(const at::Tensor& u) const;
  // sum_i f_i -> [B].
  at::Tensor value(const at::Tensor& u) const;
  // d (sum_i f_i) / du at u, [B, D]; one backward to u only.
  at::Tensor gradient(const at::Tensor& u) const;

 private:
  const EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  const std::vector<EnergyNet::Weights>& weights_;
  std::vector<std::vector<at::Tensor>> embedded_;
};

}  // namespace hebm::prior
