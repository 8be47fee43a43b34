// The paper's energy nets, as the authors' released code has them, with their parameter names. No
// biases, SiLU throughout, every weight spectrally normalised; e(t) is 128 long. Latents are
// c x h x h, h = 4, 8, ... 128 (theirs start at 8).
//   dense blocks, F -> F/2 -> F/4:  x = A SiLU(h) + B SiLU(te);  h = C SiLU(x) + D SiLU(h)
//   f = gain * w SiLU(h)
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <bit>
#include "base/error.h"
#include "nets/pixel_conv.h"
#include "prior/energy_net.h"

namespace hebm::prior {
namespace {

constexpr std::int64_t kMinSide = 4, kMaxSide = 128;
constexpr std::int64_t kCifarBottom = 2, kCelebaBottom = 4;  // side at which the convolutions end
constexpr const char* kDenseBlocks[] = {"linear1_", "linear2_"};

// Maps are channels last, [B, H, W, C].
at::Tensor pixels(const at::Tensor& z) { return z.permute({0, 2, 3, 1}); }
at::Tensor flat(const at::Tensor& h) { return h.permute({0, 3, 1, 2}).flatten(1); }
at::Tensor halve(const at::Tensor& x, const at::Tensor& matrix) { return nets::conv_pixels(x, matrix, {4, 2, 1}); }
at::Tensor conv3x3(const at::Tensor& x, const at::Tensor& matrix) { return nets::conv_pixels(x, matrix, {3, 1, 1}); }

// x [B, in]; weight [out, in], or of a chain in lower precision [in, out] (freeze).
at::Tensor dense(const at::Tensor& x, const at::Tensor& weight) {
  if (weight.scalar_type() != at::kBFloat16) return at::linear(x, weight);
  return nets::conv_pixels(x.unsqueeze(1).unsqueeze(1), weight, {1, 1, 0}).flatten(1);
}

// [B, C], or [C] for all images.
at::Tensor over_pixels(const at::Tensor& bias) { return bias.dim() == 1 ? bias : bias.unsqueeze(1).unsqueeze(1); }

// What both share: the dense end.
class PaperEnergyNet : public EnergyNet {
 protected:
  PaperEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting)
      : EnergyNet(options, setting), side_(shape.height), time_(options.embedding_size()) {
    const bool fits = shape.height == shape.width && side_ >= kMinSide && side_ <= kMaxSide &&
                      std::has_single_bit(static_cast<std::uint64_t>(side_));
    check(fits, ExitCode::kUsage,
        "energy.net = {} takes square latents with a side of 4, 8, 16, 32, 64 or 128; got {} x {} x {}; take "
        "energy.net = small",
        name_of(options.net), shape.channels, shape.height, shape.width);
  }

  // te of a net's own name in the authors' code, [T, out].
  void add_time(const std::string& name, std::int64_t out) { add_embedding(name + ".0", name + ".2", out); }
  at::Tensor time(const Effective& effective, const std::string& name) const {
    return embed(effective, name + ".0", name + ".2");
  }

  void add_dense_end(std::int64_t features) {
    for (const std::string name : kDenseBlocks) {
      const std::int64_t half = features / 2;
      add_weight(name + "x.1", {half, features}, 1);
      add_weight(name + "t.1", {half, time_});
      add_weight(name + "all.1", {half, half}, 1);
      add_weight(name + "short.1", {half, features}, 1);
      features = half;
    }
    add_weight("out.1", {1, features}, 1);
    finish(features);
  }

  // Two weights that are applied to one input, as one kernel.
  static at::Tensor joined(const Effective& effective, const std::string& a, const std::string& b) {
    return at::cat({effective.at(a), effective.at(b)});
  }

  // Appends the dense end's stages (A over D [F, F'], C, twice; w) and biases (B SiLU(te), twice).
  // active: SiLU(te).
  static void build_dense_end(const Effective& effective, const at::Tensor& active, Weights& out) {
    for (const std::string name : kDenseBlocks) {
      out.stages.push_back(joined(effective, name + "x.1", name + "short.1"));
      out.stages.push_back(effective.at(name + "all.1"));
      out.biases.push_back(at::linear(active, effective.at(name + "t.1")));
    }
    out.stages.push_back(effective.at("out.1"));
  }

  // h [B, F] -> [B, F/4] SiLU(h) of the last block: the last five stages but the output, and two
  // biases.
  static at::Tensor dense_end(const Weights& weights, const std::vector<at::Tensor>& biases, at::Tensor h) {
    std::size_t stage = weights.stages.size() - 5, bias = biases.size() - 2;
    for (; bias < biases.size(); ++bias, stage += 2) {
      const at::Tensor both = dense(at::silu(h), weights.stages[stage]);
      const std::int64_t half = both.size(1) / 2;
      const at::Tensor x = both.narrow(1, 0, half) + biases[bias];
      h = dense(at::silu(x), weights.stages[stage + 1]) + both.narrow(1, half, half);
    }
    return at::silu(h);
  }

  // By autograd, with matrices of another type.
  class Chain final : public Frozen {
   public:
    Chain(const PaperEnergyNet& net, Weights weights) : net_(net), weights_(std::move(weights)) {}
    at::Tensor input_gradient(const std::vector<at::Tensor>& biases, const at::Tensor& z) const override {
      const c10::AutoGradMode grad_on(true);
      const at::Tensor leaf = z.detach().requires_grad_(true);
      return torch::autograd::grad({net_.outputs(weights_, biases, leaf).f.sum()}, {leaf})[0];
    }
   private:
    const PaperEnergyNet& net_;
    Weights weights_;
  };

  std::shared_ptr<const Frozen> freeze(const Weights& weights, at::ScalarType products) const override {
    if (products == at::kFloat) return nullptr;
    Weights rounded = weights;
    const std::size_t output = weights.stages.size() - 1, num_convs = output - 2 * std::size(kDenseBlocks);
    for (std::size_t j = 0; j < output; ++j) {
      const at::Tensor& weight = weights.stages[j];
      rounded.stages[j] = (j < num_convs ? weight : weight.t()).contiguous().to(products);
    }
    return std::make_shared<const Chain>(*this, std::move(rounded));
  }

  std::int64_t side_;  // h
  std::int64_t time_;  // size of te
};

// CIFAR-10: two embeddings, te1 as long as z has channels and te2 of 128.
//   x = z + te1;  h = conv3x3(SiLU(conv4x4/2(x) + V SiLU(te2))) + conv4x4/2(x);
//   until h is 2 x 2 (h = 4: no block) the same with x = SiLU(h);  F = 4 W.
class Cifar10EnergyNet final : public PaperEnergyNet {
 public:
  Cifar10EnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting)
      : PaperEnergyNet(options, shape, setting) {
    const std::int64_t w = options.width;
    add_time("t_ebm_model1", shape.channels);
    add_time("t_ebm_model2", time_);
    std::int64_t side = side_ / 2;
    halvings_ = {{"conv_start", "conv_all.1", "conv_short", "t_linear.1"}};
    add_weight("conv_start", {w, shape.channels, 4, 4}, side * side);
    add_weight("t_linear.1", {w, time_});
    add_weight("conv_all.1", {w, w, 3, 3}, side * side);
    add_weight("conv_short", {w, shape.channels, 4, 4}, side * side);
    while (side > kCifarBottom) {
      side /= 2;
      const std::string name = fmt::format("res_blocks.{}.", halvings_.size() - 1);
      halvings_.push_back({name + "conv2d_1.1", name + "conv2d_2.1", name + "conv2d_shortcut.1", name + "linear.1"});
      const auto& [down, all, shortcut, linear] = halvings_.back();
      add_weight(down, {w, w, 4, 4}, side * side);
      add_weight(all, {w, w, 3, 3}, side * side);
      add_weight(shortcut, {w, w, 4, 4}, side * side);
      add_weight(linear, {w, time_});
    }
    add_dense_end(w * kCifarBottom * kCifarBottom);
  }
 private:
  // stages: for each halving the two strided convolutions as one of [in, 4, 4] -> 2 W and the 3x3
  // one, as nets::conv_matrix has them; the dense end. biases: te1, V SiLU(te2) of each halving,
  // the dense end's.
  Weights build(const Effective& effective) const override {
    Weights out;
    out.biases.push_back(time(effective, "t_ebm_model1"));
    const at::Tensor active = at::silu(time(effective, "t_ebm_model2"));  // [T, 128]
    for (const auto& [down, all, shortcut, linear] : halvings_) {
      out.stages.push_back(nets::conv_matrix(joined(effective, down, shortcut)));
      out.stages.push_back(nets::conv_matrix(effective.at(all)));
      out.biases.push_back(at::linear(active, effective.at(linear)));
    }
    build_dense_end(effective, active, out);
    return out;
  }

  at::Tensor features(
      const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const override {
    const std::int64_t w = options_.width;
    at::Tensor h = pixels(z) + over_pixels(biases[0]);
    for (std::size_t j = 0; j < halvings_.size(); ++j) {
      const at::Tensor both = halve(j == 0 ? h : at::silu(h), weights.stages[2 * j]);
      const at::Tensor g = both.narrow(3, 0, w) + over_pixels(biases[j + 1]);
      h = conv3x3(at::silu(g), weights.stages[2 * j + 1]) + both.narrow(3, w, w);
    }
    return dense_end(weights, biases, flat(h));
  }

  struct Halving {
    std::string down, all, shortcut, linear;
  };
  std::vector<Halving> halvings_;
};

// CelebA-HQ-256: conv4x4/2 with SiLU between, not after the last, until h is 4 x 4; F = 16 W; t
// enters the dense end alone. z of 4 x 4, which the authors' net does not take: one conv3x3 in
// place of the last conv4x4/2.
class CelebaEnergyNet final : public PaperEnergyNet {
 public:
  CelebaEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting)
      : PaperEnergyNet(options, shape, setting) {
    add_time("t_ebm_model1", time_);
    std::int64_t side = side_, channels = shape.channels;
    const auto add_conv = [&](const std::string& name, std::int64_t kernel, std::int64_t out_side) {
      convs_.push_back(name);
      add_weight(name, {options.width, channels, kernel, kernel}, out_side * out_side);
      channels = options.width;
    };
    for (; side / 2 > kCelebaBottom; side /= 2) add_conv(fmt::format("conv2d.conv{}", convs_.size() + 1), 4, side / 2);
    add_conv("downsample", side == kCelebaBottom ? 3 : 4, kCelebaBottom);
    add_dense_end(options.width * kCelebaBottom * kCelebaBottom);
  }
 private:
  // stages: the convolutions as nets::conv_matrix has them, the dense end. biases: the dense end's.
  Weights build(const Effective& effective) const override {
    Weights out;
    for (const std::string& conv : convs_) out.stages.push_back(nets::conv_matrix(effective.at(conv)));
    build_dense_end(effective, at::silu(time(effective, "t_ebm_model1")), out);
    return out;
  }

  at::Tensor features(
      const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const override {
    at::Tensor h = pixels(z);
    for (std::size_t j = 0; j < convs_.size(); ++j) {
      const at::Tensor x = j == 0 ? h : at::silu(h);
      h = side_ == kCelebaBottom ? conv3x3(x, weights.stages[j]) : halve(x, weights.stages[j]);
    }
    return dense_end(weights, biases, flat(h));
  }

  std::vector<std::string> convs_;
};

}  // namespace

std::unique_ptr<EnergyNet> make_paper_net(
    const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting) {
  if (options.net == NetKind::kCifar10) return std::make_unique<Cifar10EnergyNet>(options, shape, setting);
  return std::make_unique<CelebaEnergyNet>(options, shape, setting);
}

}  // namespace hebm::prior
