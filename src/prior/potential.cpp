#include "prior/potential.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/error.h"

namespace hebm::prior {

EnergyPrior::EnergyPrior(const EnergyOptions& options, const std::vector<LatentShape>& groups, std::int64_t num_levels,
                         std::uint64_t seed, at::ScalarType dtype)
    : num_levels_(num_levels) {
  for (std::size_t i = 0; i < groups.size(); ++i) {
    nets_.push_back(std::make_unique<EnergyNet>(options, groups[i], num_levels, static_cast<int>(i), seed, dtype));
  }
}

std::int64_t EnergyPrior::num_parameters() const {
  std::int64_t total = 0;
  for (const auto& net : nets_) total += net->params().size();
  return total;
}

std::vector<nets::NamedTensor> EnergyPrior::named_tensors() const {
  std::vector<nets::NamedTensor> out;
  for (std::size_t i = 0; i < nets_.size(); ++i) {
    const std::string prefix = "layer" + std::to_string(i) + ".";
    for (const auto& p : nets_[i]->params().parameters()) out.push_back({prefix + p.name, p.tensor});
    for (const auto& s : nets_[i]->params().states()) out.push_back({prefix + s.name, s.tensor});
  }
  return out;
}

std::vector<EnergyNet::Weights> EnergyPrior::weights(bool with_grad) const {
  std::vector<EnergyNet::Weights> out;
  for (const auto& net : nets_) out.push_back(net->weights(with_grad));
  return out;
}

Potential::Potential(const EnergyPrior& prior, const vae::Backbone& backbone,
                     const std::vector<EnergyNet::Weights>& weights, const at::Tensor& t)
    : prior_(prior), backbone_(backbone), weights_(weights) {
  for (const auto& w : weights) embedded_.push_back(EnergyNet::embed(w, t));
}

std::vector<at::Tensor> Potential::by_layer(const at::Tensor& u) const {
  const std::vector<at::Tensor> z = backbone_.transport(u);
  std::vector<at::Tensor> f;
  for (std::size_t i = 0; i < z.size(); ++i) f.push_back(prior_.layer(i).forward(weights_[i], embedded_[i], z[i]));
  return f;
}

at::Tensor Potential::value(const at::Tensor& u) const {
  const auto f = by_layer(u);
  at::Tensor total = f[0];
  for (std::size_t i = 1; i < f.size(); ++i) total = total + f[i];
  return total;
}

at::Tensor Potential::gradient(const at::Tensor& u) const {
  const c10::AutoGradMode grad_on(true);
  const at::Tensor leaf = u.detach().requires_grad_(true);
  const at::Tensor total = value(leaf).sum();
  return torch::autograd::grad({total}, {leaf})[0].contiguous();
}

}  // namespace hebm::prior
