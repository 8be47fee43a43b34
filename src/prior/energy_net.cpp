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

void EnergyNet::power_iterate(std::int64_t times) const {
  for (std::size_t i = 0; options_.spectral_norm && i < weights_.size(); ++i)
    weights_[i].iterate(static_cast<int>(times));
}

std::unique_ptr<EnergyNet> make_energy_net(
    const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting) {
  auto net = (options.ours() ? make_small_net : make_paper_net)(options, shape, setting);
  net->power_iterate(options.warm_iterations);
  return net;
}

std::vector<EnergyNet::Spectral> EnergyNet::iterated(std::int64_t fixed, std::int64_t learning) const {
  const c10::NoGradGuard no_grad;
  std::vector<Spectral> out;
  Spectral moving = weights_;
  for (std::int64_t k = 0; k < fixed + learning; ++k) {
    for (auto& weight : moving) {
      if (!options_.spectral_norm) continue;
      weight = {weight.weight, weight.u.clone(), weight.v.clone()};
      weight.iterate(1);
      if (k < fixed) weight.fixed_sigma = weight.sigma();
    }
    out.push_back(moving);
  }
  return out;
}

void EnergyNet::adopt(const Spectral& normed) const {
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; options_.spectral_norm && i < weights_.size(); ++i) {
    weights_[i].u.copy_(normed[i].u);
    weights_[i].v.copy_(normed[i].v);
  }
}

}  // namespace hebm::prior
