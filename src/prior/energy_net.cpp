#include "prior/energy_net.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <c10/core/GradMode.h>
#include "nets/layers.h"

namespace hebm::prior {

EnergyNet::EnergyNet(const EnergyOptions& options, const NetSetting& setting)
    : options_(options),
      num_levels_(setting.num_levels),
      params_(setting.seed, setting.stream, setting.dtype, at::kCPU, setting.max_values),
      label_rows_(setting.label_rows) {}

void EnergyNet::add_weight(const std::string& name, const std::vector<std::int64_t>& shape, std::int64_t positions) {
  double values = 1;
  for (const auto n : shape) values *= static_cast<double>(n);
  forward_flop_ += 2.0 * values * static_cast<double>(positions);
  if (options_.spectral_norm || options_.ours()) {  // files of our nets always have the vectors
    weights_.push_back(nets::make_spectral(params_, name, shape));
  } else {
    weights_.push_back({params_.add(name + ".weight", shape, nets::Init::kUniformFanIn), {}, {}});
  }
  names_.push_back(name);
}

void EnergyNet::add_embedding(const std::string& first, const std::string& second, std::int64_t out) {
  const std::int64_t size = options_.embedding_size();
  if (!sinusoid_.defined())
    sinusoid_ = params_.add_constant(nets::sinusoidal_embedding(num_levels_, size).to(params_.dtype()));
  add_weight(first, {out, size});
  add_weight(second, {out, out});
}

at::Tensor EnergyNet::embed(const Effective& effective, const std::string& first, const std::string& second) const {
  return at::linear(at::silu(at::linear(sinusoid_, effective.at(first))), effective.at(second));
}

void EnergyNet::finish(std::int64_t features) {
  if (label_rows_ > 0) labels_ = params_.add("labels.weight", {label_rows_, features}, nets::Init::kZero);
  params_.flatten();
}

EnergyNet::Weights EnergyNet::weights(bool with_grad, const Spectral& normed, nets::Precision of_chains) const {
  const c10::AutoGradMode mode(with_grad);
  Effective effective;
  for (std::size_t i = 0; i < normed.size(); ++i)
    effective.emplace(names_[i], options_.spectral_norm ? normed[i].effective() : normed[i].weight);
  Weights out = build(effective);
  out.precision = of_chains;
  if (!with_grad && params_.dtype() == at::kFloat && params_.device().is_cpu()) {
    const at::ScalarType products = nets::type_of_products(of_chains);
    out.frozen = freeze(out, at::kFloat);
    out.chain = products == at::kFloat ? out.frozen : freeze(out, products);
  }
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

std::vector<at::Tensor> EnergyNet::select(const Weights& weights, const at::Tensor& t) const {
  std::vector<at::Tensor> out;
  for (const auto& bias : weights.biases) out.push_back(num_levels_ > 1 ? bias.index_select(0, t) : bias[0]);
  return out;
}

void EnergyNet::power_iterate(std::int64_t times) const {
  for (std::size_t i = 0; options_.spectral_norm && i < weights_.size(); ++i)
    weights_[i].iterate(static_cast<int>(times));
}

}  // namespace hebm::prior
