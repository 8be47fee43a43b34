#include "prior/energy_net.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include "base/options.h"
#include "prior/paper_energy_net.h"
#include "prior/small_energy_net.h"

namespace hebm::prior {

void EnergyOptions::describe(Options& o) {
  o.add_choice("energy.net", &net,
               "energy nets: small (convolutions, for the HVAE's layers), dense (without them, for a small NVAE's), or "
               "the paper's of CIFAR-10 and CelebA-HQ-256 (latents 4 x 4 to 128 x 128)",
               Show::kCommon);
  o.add("energy.width", &width, "channels of the energy nets (paper: 128 CIFAR-10, 64 CelebA-HQ-256)", {4, 4096},
        Show::kCommon);
  o.add("energy.embedding", &embedding, "size of the embedding of t, small nets (the paper's have 128)", {2, 4096});
  o.add("energy.per_level", &per_level, "nets of their own for every t; false: one net a layer that is told t (paper)");
  o.add("energy.gain", &gain, "factor of the nets' output", {1e-6, 1e6});
  o.add("energy.spectral_norm", &spectral_norm, "divide every weight by its largest singular value");
  o.add("energy.power_iterations", &power_iterations, "power iterations an optimiser step", {0, 1000});
  o.add("energy.warm_iterations", &warm_iterations, "power iterations before the first step", {0, 10000});
  o.add("energy.power_iterations_in_chain", &power_iterations_in_chain,
        "one power iteration at every Langevin step and each half of the loss, K + 2 an update (authors' code), "
        "instead of energy.power_iterations");
}

std::int64_t EnergyOptions::embedding_size() const { return ours() ? embedding : kPaperEmbedding; }

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

template <class Effective>
EnergyNet::Weights EnergyNet::assemble(bool with_grad, const Effective& effective_of) const {
  const c10::AutoGradMode mode(with_grad);
  std::vector<at::Tensor> effective;
  for (std::size_t i = 0; i < weights_.size(); ++i)
    effective.push_back(options_.spectral_norm ? effective_of(i) : weights_[i].weight);
  Weights out = build(effective);
  if (labels_.defined()) out.labels = with_grad ? labels_ : labels_.detach().clone();
  return out;
}

EnergyNet::Outputs EnergyNet::outputs(const Weights& weights, const std::vector<at::Tensor>& biases,
                                      const at::Tensor& z) const {
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

void EnergyNet::power_iterate(std::int64_t times) const {
  if (!options_.spectral_norm) return;
  for (const auto& weight : weights_) weight.iterate(static_cast<int>(times));
}

PowerSequence EnergyNet::power_sequence(std::int64_t chain_steps) const {
  PowerSequence out;
  if (!options_.spectral_norm) return out;
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> columns;  // [number of weights] of [K]
  for (const auto& stored : weights_) {
    const nets::SpectralWeight moving{stored.weight, stored.u.clone(), stored.v.clone()};
    std::vector<at::Tensor> sigmas;
    for (std::int64_t k = 0; k < chain_steps; ++k) {
      moving.iterate(1);
      sigmas.push_back(moving.sigma());
    }
    columns.push_back(at::stack(sigmas));
    moving.iterate(1);
    out.positive.u.push_back(moving.u.clone());
    out.positive.v.push_back(moving.v.clone());
    moving.iterate(1);
    out.negative.u.push_back(moving.u);
    out.negative.v.push_back(moving.v);
  }
  out.sigma = at::stack(columns, 1);
  return out;
}

void EnergyNet::adopt(const PowerSequence& sequence) const {
  if (!options_.spectral_norm) return;
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    weights_[i].u.copy_(sequence.negative.u[i]);
    weights_[i].v.copy_(sequence.negative.v[i]);
  }
}

std::unique_ptr<EnergyNet> make_energy_net(const EnergyOptions& options, const LatentShape& shape,
                                           const NetSetting& setting) {
  std::unique_ptr<EnergyNet> net;
  if (options.net == NetKind::kCifar10) {
    net = std::make_unique<Cifar10EnergyNet>(options, shape, setting);
  } else if (options.net == NetKind::kCelebaHq256) {
    net = std::make_unique<CelebaEnergyNet>(options, shape, setting);
  } else {
    net = std::make_unique<SmallEnergyNet>(options, shape, setting);
  }
  net->power_iterate(options.warm_iterations);
  return net;
}

}  // namespace hebm::prior
