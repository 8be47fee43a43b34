#include "prior/energy_net.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <c10/core/GradMode.h>

#include "base/error.h"
#include "base/options.h"
#include "nets/layers.h"

namespace hebm::prior {

constexpr std::int64_t kFlattenSide = 2;

void EnergyOptions::describe(Options& o) {
  o.add("energy.width", &width, "channels of the energy nets", {4, 4096}, Show::kCommon);
  o.add("energy.embedding", &embedding, "size of the embedding of t", {2, 4096});
  o.add("energy.per_level", &per_level, "nets of their own for every t; false: one net a layer that is told t (paper)");
  o.add("energy.gain", &gain, "factor of the nets' output", {1e-6, 1e6});
  o.add("energy.spectral_norm", &spectral_norm, "divide every weight by its largest singular value");
  o.add("energy.power_iterations", &power_iterations, "power iterations an optimiser step", {0, 1000});
  o.add("energy.warm_iterations", &warm_iterations, "power iterations before the first step", {0, 10000});
}

EnergyNet::EnergyNet(const EnergyOptions& options, const LatentShape& shape, std::int64_t num_levels,
                     std::uint32_t stream, std::uint64_t seed, at::ScalarType dtype)
    : options_(options), num_levels_(num_levels), params_(seed, stream, dtype) {
  const std::int64_t w = options.width, e = options.embedding;
  if (num_levels > 1) {
    sinusoid_ = nets::sinusoidal_embedding(num_levels, e).to(dtype);
    embed1_ = nets::make_spectral(params_, "embed1", {e, e});
    embed2_ = nets::make_spectral(params_, "embed2", {e, e});
  }
  std::int64_t channels = shape.channels, height = shape.height, width = shape.width;
  const bool convolves = height > kFlattenSide || width > kFlattenSide;
  if (convolves) {
    add_stage({w, channels, 3, 3}, height * width);
    channels = w;
  }
  while (height > kFlattenSide || width > kFlattenSide) {
    height = std::max<std::int64_t>(1, height / 2);
    width = std::max<std::int64_t>(1, width / 2);
    add_stage({w, w, 4, 4}, height * width);
  }
  add_stage({2 * w, channels * height * width}, 1);
  if (!convolves) add_stage({2 * w, 2 * w}, 1);
  add_stage({w, 2 * w}, 1);
  out_ = nets::make_spectral(params_, "out", {1, w});
  params_.flatten();
  power_iterate(options.warm_iterations);
}

void EnergyNet::add_stage(std::vector<std::int64_t> shape, std::int64_t positions) {
  const std::string name = (shape.size() == 4 ? "conv" : "dense") + std::to_string(stages_.size());
  const std::int64_t out = shape[0];
  double weights = 1;
  for (const auto n : shape) weights *= static_cast<double>(n);
  forward_flop_ += 2.0 * weights * static_cast<double>(positions);
  stages_.push_back(nets::make_spectral(params_, name, std::move(shape)));
  biases_.push_back(params_.add(name + ".bias", {out}, nets::Init::kZero));
  if (num_levels_ > 1) tables_.push_back(nets::make_spectral(params_, name + ".embed", {out, options_.embedding}));
}

void EnergyNet::power_iterate(std::int64_t times) const {
  if (!options_.spectral_norm) return;
  const int n = static_cast<int>(times);
  for (const auto* group : {&stages_, &tables_}) {
    for (const auto& weight : *group) weight.iterate(n);
  }
  out_.iterate(n);
  if (num_levels_ > 1) {
    embed1_.iterate(n);
    embed2_.iterate(n);
  }
}

EnergyNet::Weights EnergyNet::weights(bool with_grad) const {
  const c10::AutoGradMode mode(with_grad);
  const auto use = [&](const nets::SpectralWeight& w) { return options_.spectral_norm ? w.effective() : w.weight; };
  Weights out;
  for (const auto& stage : stages_) out.stages.push_back(use(stage));
  out.stages.push_back(use(out_));
  at::Tensor active;  // [T, e]
  if (num_levels_ > 1) active = at::silu(at::linear(at::silu(at::linear(sinusoid_, use(embed1_))), use(embed2_)));
  for (std::size_t j = 0; j < biases_.size(); ++j) {
    out.biases.push_back(num_levels_ > 1 ? at::linear(active, use(tables_[j]), biases_[j]) : biases_[j].unsqueeze(0));
  }
  return out;
}

std::vector<at::Tensor> EnergyNet::select(const Weights& weights, const at::Tensor& t) const {
  std::vector<at::Tensor> out;
  for (const auto& bias : weights.biases) out.push_back(num_levels_ > 1 ? bias.index_select(0, t) : bias[0]);
  return out;
}

at::Tensor EnergyNet::forward(const Weights& weights, const std::vector<at::Tensor>& biases,
                              const at::Tensor& z) const {
  at::Tensor h = z;
  for (std::size_t j = 0; j < biases.size(); ++j) {
    const at::Tensor& weight = weights.stages[j];
    const at::Tensor fused = num_levels_ > 1 ? at::Tensor() : biases[j];  // one bias for all rows goes into the kernel
    at::Tensor out;
    if (weight.dim() == 4) {
      const std::int64_t stride = weight.size(3) == 4 ? 2 : 1;
      out = at::conv2d(h, weight, fused, {stride, stride}, {1, 1});
      if (num_levels_ > 1) out = out + biases[j].unsqueeze(-1).unsqueeze(-1);
    } else {
      if (h.dim() == 4) h = h.flatten(1);
      out = at::linear(h, weight, fused);
      if (num_levels_ > 1) out = out + biases[j];
    }
    out = at::silu(out);
    h = out.sizes() == h.sizes() && weight.dim() == 2 ? h + out : out;
  }
  return at::linear(h, weights.stages.back()).squeeze(1) * options_.gain;
}

}  // namespace hebm::prior
