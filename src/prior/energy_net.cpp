#include "prior/energy_net.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "base/error.h"
#include "base/options.h"
#include "nets/layers.h"

namespace hebm::prior {

constexpr int kDenseBlocks = 2;

void EnergyOptions::describe(Options& o) {
  o.add("energy.width", &width, "channels of an energy net's first stage", {4, 4096}, Show::kCommon);
  o.add("energy.max_width", &max_width, "stages double their channels up to here", {4, 16384});
  o.add("energy.embedding", &embedding, "size of the embedding of t", {2, 4096});
  o.add("energy.gain", &gain, "factor of the nets' output", {1e-6, 1e6});
  o.add("energy.spectral_norm", &spectral_norm, "normalise every weight by its largest singular value");
  o.add("energy.power_iterations", &power_iterations, "power iterations an optimiser step", {0, 1000});
  o.add("energy.warm_iterations", &warm_iterations, "power iterations before the first step", {0, 10000});
}

EnergyNet::EnergyNet(const EnergyOptions& options, const LatentShape& shape, std::int64_t num_levels, int layer,
                     std::uint64_t seed, at::ScalarType dtype)
    : options_(options), params_(seed, 1000u + static_cast<std::uint32_t>(layer), dtype) {
  const std::int64_t e = options.embedding;
  sinusoid_ = nets::sinusoidal_embedding(num_levels, e).to(dtype);
  embed1_ = nets::make_spectral(params_, "embed1", {e, e});
  embed2_ = nets::make_spectral(params_, "embed2", {e, e});
  const auto add_table = [&](std::int64_t channels) {
    table_weights_.push_back(
        nets::make_spectral(params_, "embed_to_" + std::to_string(table_weights_.size()), {channels, e}));
  };
  const auto add_conv = [&](std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t height,
                            std::int64_t width) {
    convs_.push_back(nets::make_spectral(params_, "conv" + std::to_string(convs_.size()), {out, in, kernel, kernel}));
    forward_flop_ += 2.0 * static_cast<double>(in * out * kernel * kernel * height * width);
    add_table(out);
  };
  add_table(shape.channels);
  std::int64_t channels = options.width, h = shape.height, w = shape.width;
  add_conv(shape.channels, channels, 3, h, w);
  while (h > 1 || w > 1) {
    const std::int64_t wider = std::min(std::max(options.max_width, channels), 2 * channels);
    h = std::max<std::int64_t>(1, h / 2);
    w = std::max<std::int64_t>(1, w / 2);
    add_conv(channels, wider, 4, h, w);
    channels = wider;
  }
  for (int i = 0; i < 2 * kDenseBlocks; ++i) {
    dense_.push_back(nets::make_spectral(params_, "dense" + std::to_string(i), {channels, channels}));
    forward_flop_ += 2.0 * static_cast<double>(channels * channels);
  }
  out_ = nets::make_spectral(params_, "out", {1, channels});
  params_.flatten();
  power_iterate(options.warm_iterations);
}

void EnergyNet::power_iterate(std::int64_t times) const {
  if (!options_.spectral_norm) return;
  const int n = static_cast<int>(times);
  for (const auto* group : {&convs_, &dense_, &table_weights_}) {
    for (const auto& weight : *group) weight.iterate(n);
  }
  for (const auto* weight : {&embed1_, &embed2_, &out_}) weight->iterate(n);
}

EnergyNet::Weights EnergyNet::weights(bool with_grad) const {
  const c10::AutoGradMode mode(with_grad);
  const auto use = [&](const nets::SpectralWeight& w) { return options_.spectral_norm ? w.effective() : w.weight; };
  Weights out;
  for (const auto& conv : convs_) out.stages.push_back(use(conv));
  for (const auto& dense : dense_) out.stages.push_back(use(dense));
  out.stages.push_back(use(out_));
  const at::Tensor t_embedding = at::linear(at::silu(at::linear(sinusoid_, use(embed1_))), use(embed2_));
  const at::Tensor active = at::silu(t_embedding);  // [T, e]
  for (const auto& table : table_weights_) out.tables.push_back(at::linear(active, use(table)));
  return out;
}

std::vector<at::Tensor> EnergyNet::embed(const Weights& weights, const at::Tensor& t) {
  std::vector<at::Tensor> out;
  for (const auto& table : weights.tables) out.push_back(table.index_select(0, t).unsqueeze(-1).unsqueeze(-1));
  return out;
}

at::Tensor EnergyNet::forward(const Weights& weights, const std::vector<at::Tensor>& embedded,
                              const at::Tensor& z) const {
  at::Tensor h = z + embedded[0];
  for (std::size_t i = 0; i < convs_.size(); ++i) {
    const bool stem = i == 0;
    const std::int64_t stride = stem ? 1 : 2;
    h = at::conv2d(stem ? h : at::silu(h), weights.stages[i], {}, {stride, stride}, {1, 1}) + embedded[i + 1];
  }
  h = h.flatten(1);
  for (int block = 0; block < kDenseBlocks; ++block) {
    const std::size_t at = convs_.size() + 2 * static_cast<std::size_t>(block);
    h = h + at::linear(at::silu(at::linear(at::silu(h), weights.stages[at])), weights.stages[at + 1]);
  }
  return at::linear(at::silu(h), weights.stages.back()).squeeze(1) * options_.gain;
}

}  // namespace hebm::prior
