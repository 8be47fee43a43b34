#include "prior/paper_energy_net.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <fmt/format.h>
#include <bit>
#include "base/error.h"
#include "nets/layers.h"
#include "nets/pixel_conv.h"

namespace hebm::prior {
namespace {

constexpr std::int64_t kMinSide = 4, kMaxSide = 128;
constexpr std::int64_t kCifarBottom = 2, kCelebaBottom = 4;  // side at which the convolutions end

// Two weights that are applied to one input, as one kernel.
at::Tensor joined(const std::vector<at::Tensor>& effective, std::size_t a, std::size_t b) {
  return at::cat({effective[a], effective[b]});
}

// Maps are channels last, [B, H, W, C].
at::Tensor pixels(const at::Tensor& z) { return z.permute({0, 2, 3, 1}); }
at::Tensor flat(const at::Tensor& h) { return h.permute({0, 3, 1, 2}).flatten(1); }
at::Tensor halve(const at::Tensor& x, const at::Tensor& matrix) { return nets::conv_pixels(x, matrix, {4, 2, 1}); }
at::Tensor conv3x3(const at::Tensor& x, const at::Tensor& matrix) { return nets::conv_pixels(x, matrix, {3, 1, 1}); }

// [B, C], or [C] for all images.
at::Tensor over_pixels(const at::Tensor& bias) { return bias.dim() == 1 ? bias : bias.unsqueeze(1).unsqueeze(1); }

}  // namespace

// ---- what both share

PaperEnergyNet::PaperEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting)
    : EnergyNet(options, setting),
      side_(shape.height),
      sinusoid_(
          params_.add_constant(nets::sinusoidal_embedding(setting.num_levels, kPaperEmbedding).to(params_.dtype()))) {
  const bool fits = shape.height == shape.width && side_ >= kMinSide && side_ <= kMaxSide &&
                    std::has_single_bit(static_cast<std::uint64_t>(side_));
  check(fits, ExitCode::kUsage,
      "energy.net = {} takes square latents with a side of 4, 8, 16, 32, 64 or 128; got {} x {} x {}; take "
      "energy.net = small",
      name_of(options.net), shape.channels, shape.height, shape.width);
}

PaperEnergyNet::Embedding PaperEnergyNet::add_embedding(const std::string& name, std::int64_t out) {
  const std::size_t first = add_weight(name + ".0", {out, kPaperEmbedding}, 0);
  return {first, add_weight(name + ".2", {out, out}, 0)};
}

void PaperEnergyNet::add_dense_end(std::int64_t features) {
  for (const std::string name : {"linear1_", "linear2_"}) {
    const std::int64_t half = features / 2;
    const std::size_t x = add_weight(name + "x.1", {half, features}, 1),
                      t = add_weight(name + "t.1", {half, kPaperEmbedding}, 0),
                      all = add_weight(name + "all.1", {half, half}, 1);
    dense_.push_back({x, t, all, add_weight(name + "short.1", {half, features}, 1)});
    features = half;
  }
  out_ = add_weight("out.1", {1, features}, 1);
  finish(features);
}

at::Tensor PaperEnergyNet::embed(const Embedding& embedding, const std::vector<at::Tensor>& effective) const {
  return at::linear(at::silu(at::linear(sinusoid_, effective[embedding.first])), effective[embedding.second]);
}

void PaperEnergyNet::build_dense_end(
    const std::vector<at::Tensor>& effective, const at::Tensor& active, Weights& out) const {
  for (const DenseBlock& block : dense_) {
    out.stages.push_back(joined(effective, block.x, block.shortcut));
    out.stages.push_back(effective[block.all]);
    out.biases.push_back(at::linear(active, effective[block.t]));
  }
  out.stages.push_back(effective[out_]);
}

at::Tensor PaperEnergyNet::dense_end(
    const Weights& weights, const std::vector<at::Tensor>& biases, at::Tensor h) const {
  std::size_t stage = weights.stages.size() - 5, bias = biases.size() - 2;
  for (; bias < biases.size(); ++bias, stage += 2) {
    const at::Tensor both = at::linear(at::silu(h), weights.stages[stage]);
    const std::int64_t half = both.size(1) / 2;
    const at::Tensor x = both.narrow(1, 0, half) + biases[bias];
    h = at::linear(at::silu(x), weights.stages[stage + 1]) + both.narrow(1, half, half);
  }
  return at::silu(h);
}

// ---- CIFAR-10

Cifar10EnergyNet::Cifar10EnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting)
    : PaperEnergyNet(options, shape, setting) {
  const std::int64_t w = options.width;
  embed_z_ = add_embedding("t_ebm_model1", shape.channels);
  embed_ = add_embedding("t_ebm_model2", kPaperEmbedding);
  std::int64_t side = side_ / 2;
  Halving first{};
  first.down = add_weight("conv_start", {w, shape.channels, 4, 4}, side * side);
  first.linear = add_weight("t_linear.1", {w, kPaperEmbedding}, 0);
  first.all = add_weight("conv_all.1", {w, w, 3, 3}, side * side);
  first.shortcut = add_weight("conv_short", {w, shape.channels, 4, 4}, side * side);
  halvings_.push_back(first);
  while (side > kCifarBottom) {
    side /= 2;
    const std::string name = fmt::format("res_blocks.{}.", halvings_.size() - 1);
    Halving block{};
    block.down = add_weight(name + "conv2d_1.1", {w, w, 4, 4}, side * side);
    block.all = add_weight(name + "conv2d_2.1", {w, w, 3, 3}, side * side);
    block.shortcut = add_weight(name + "conv2d_shortcut.1", {w, w, 4, 4}, side * side);
    block.linear = add_weight(name + "linear.1", {w, kPaperEmbedding}, 0);
    halvings_.push_back(block);
  }
  add_dense_end(w * kCifarBottom * kCifarBottom);
}

EnergyNet::Weights Cifar10EnergyNet::build(const std::vector<at::Tensor>& effective) const {
  Weights out;
  out.biases.push_back(embed(embed_z_, effective));
  const at::Tensor active = at::silu(embed(embed_, effective));  // [T, 128]
  for (const Halving& halving : halvings_) {
    out.stages.push_back(nets::conv_matrix(joined(effective, halving.down, halving.shortcut)));
    out.stages.push_back(nets::conv_matrix(effective[halving.all]));
    out.biases.push_back(at::linear(active, effective[halving.linear]));
  }
  build_dense_end(effective, active, out);
  return out;
}

at::Tensor Cifar10EnergyNet::features(
    const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const {
  const std::int64_t w = options_.width;
  at::Tensor h = pixels(z) + over_pixels(biases[0]);
  for (std::size_t j = 0; j < halvings_.size(); ++j) {
    const at::Tensor both = halve(j == 0 ? h : at::silu(h), weights.stages[2 * j]);
    const at::Tensor g = both.narrow(3, 0, w) + over_pixels(biases[j + 1]);
    h = conv3x3(at::silu(g), weights.stages[2 * j + 1]) + both.narrow(3, w, w);
  }
  return dense_end(weights, biases, flat(h));
}

// ---- CelebA-HQ-256

CelebaEnergyNet::CelebaEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting)
    : PaperEnergyNet(options, shape, setting) {
  embed_ = add_embedding("t_ebm_model1", kPaperEmbedding);
  std::int64_t side = side_, channels = shape.channels;
  while (side / 2 > kCelebaBottom) {
    side /= 2;
    convs_.push_back(
        add_weight(fmt::format("conv2d.conv{}", convs_.size() + 1), {options.width, channels, 4, 4}, side * side));
    channels = options.width;
  }
  const std::int64_t kernel = side == kCelebaBottom ? 3 : 4;
  convs_.push_back(add_weight("downsample", {options.width, channels, kernel, kernel}, kCelebaBottom * kCelebaBottom));
  add_dense_end(options.width * kCelebaBottom * kCelebaBottom);
}

EnergyNet::Weights CelebaEnergyNet::build(const std::vector<at::Tensor>& effective) const {
  Weights out;
  for (const auto conv : convs_) out.stages.push_back(nets::conv_matrix(effective[conv]));
  build_dense_end(effective, at::silu(embed(embed_, effective)), out);
  return out;
}

at::Tensor CelebaEnergyNet::features(
    const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const {
  at::Tensor h = pixels(z);
  for (std::size_t j = 0; j < convs_.size(); ++j) {
    const at::Tensor x = j == 0 ? h : at::silu(h);
    h = side_ == kCelebaBottom ? conv3x3(x, weights.stages[j]) : halve(x, weights.stages[j]);
  }
  return dense_end(weights, biases, flat(h));
}

}  // namespace hebm::prior
