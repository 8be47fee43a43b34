#include "prior/energy_net.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

namespace hebm::prior {

EnergyNet::EnergyNet(const EnergyOptions& options, const NetSetting& setting)
    : options_(options),
      num_levels_(setting.num_levels),
      params_(setting.seed, setting.stream, setting.dtype, at::kCPU, setting.max_values),
      label_rows_(setting.label_rows) {}

std::size_t EnergyNet::add_weight(const std::string& name, std::vector<std::int64_t> shape, std::int64_t positions) {
  double values = 1;
  for (const auto n : shape) values *= static_cast<double>(n);
  forward_flop_ += 2.0 * values * static_cast<double>(positions);
  if (options_.spectral_norm || options_.ours()) {  // files of our nets always have the vectors
    weights_.push_back(nets::make_spectral(params_, name, std::move(shape)));
  } else {
    weights_.push_back({params_.add(name + ".weight", std::move(shape), nets::Init::kUniformFanIn), {}, {}});
  }
  return weights_.size() - 1;
}

void EnergyNet::finish(std::int64_t features) {
  if (label_rows_ > 0) labels_ = params_.add("labels.weight", {label_rows_, features}, nets::Init::kZero);
  params_.flatten();
}

template <class Effective> EnergyNet::Weights EnergyNet::assemble(bool with_grad, const Effective& effective_of) const {
  const c10::AutoGradMode mode(with_grad);
  std::vector<at::Tensor> effective;
  for (std::size_t i = 0; i < weights_.size(); ++i)
    effective.push_back(options_.spectral_norm ? effective_of(i) : weights_[i].weight);
  Weights out = build(effective);
  if (labels_.defined()) out.labels = with_grad ? labels_ : labels_.detach().clone();
  return out;
}

EnergyNet::Outputs EnergyNet::outputs(
    const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const {
  const at::Tensor h = features(weights, biases, z);
  Outputs out{at::linear(h, weights.stages.back()).squeeze(1) * options_.gain, {}};
  if (weights.labels.defined()) out.labels = at::linear(h, weights.labels) * options_.gain;
  return out;
}

EnergyNet::Weights EnergyNet::weights(bool with_grad) const {
  return assemble(with_grad, [&](std::size_t i) { return weights_[i].effective(); });
}

EnergyNet::Weights EnergyNet::chain_weights(const PowerSequence& sequence, std::int64_t step) const {
  return assemble(
      false, [&](std::size_t i) { return weights_[i].weight / sequence.sigma[step][static_cast<std::int64_t>(i)]; });
}

EnergyNet::Weights EnergyNet::loss_weights(const PowerVectors& vectors) const {
  return assemble(true, [&](std::size_t i) {
    return nets::SpectralWeight{weights_[i].weight, vectors.u[i], vectors.v[i]}.effective();
  });
}

std::vector<at::Tensor> EnergyNet::select(const Weights& weights, const at::Tensor& t) const {
  std::vector<at::Tensor> out;
  for (const auto& bias : weights.biases) out.push_back(num_levels_ > 1 ? bias.index_select(0, t) : bias[0]);
  return out;
}

}  // namespace hebm::prior
