// Our two energy nets. `small`, for the layers of the HVAE, latents from 1 x 1 to 128 x 128, with
//   h = SiLU(conv3x3(z) + b_0(t));  while h is larger than 2 x 2: h = SiLU(conv4x4/2(h) + b_j(t));
//   flatten;  dense layers W' -> 2W -> W with SiLU;  f = gain * w h,
// where b_j(t) = bias_j + V_j SiLU(te), in a net of one level the bias alone; biases are not
// normalised. `dense`: no convolutions but a residual layer 2W -> 2W, as a `small` of 2 x 2 has.
// What nearly white noise hides is in few directions across all elements of a layer, and a
// convolution, which sees a patch, does not find them (docs/results.md, small NVAE).
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <algorithm>
#include "prior/small_net_plan.h"

namespace hebm::prior {
namespace {

constexpr std::int64_t kFlattenSide = 2;

class SmallEnergyNet final : public EnergyNet {
 public:
  SmallEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting)
      : EnergyNet(options, setting), shape_(shape) {
    const std::int64_t w = options.width;
    if (is_told_level()) add_embedding("embed1", "embed2", options.embedding);
    std::int64_t channels = shape.channels, height = shape.height, width = shape.width;
    const auto is_large = [&] { return height > kFlattenSide || width > kFlattenSide; };
    const bool convolves = options.net == NetKind::kSmall && is_large();
    if (convolves) {
      add_stage({w, channels, 3, 3}, height * width);
      channels = w;
      while (is_large()) {
        height = std::max<std::int64_t>(1, height / 2);
        width = std::max<std::int64_t>(1, width / 2);
        add_stage({w, w, 4, 4}, height * width);
      }
    }
    add_stage({2 * w, channels * height * width}, 1);
    if (!convolves) {
      residual_ = stages_.size();
      add_stage({2 * w, 2 * w}, 1);
    }
    add_stage({w, 2 * w}, 1);
    add_weight("out", {1, w});
    finish(w);
  }
 private:
  bool is_told_level() const { return num_levels_ > 1; }

  void add_stage(const std::vector<std::int64_t>& shape, std::int64_t positions) {
    const std::string name = (shape.size() == 4 ? "conv" : "dense") + std::to_string(stages_.size());
    const std::int64_t out = shape[0];
    add_weight(name, shape, positions);
    stages_.push_back({name, params_.add(name + ".bias", {out}, nets::Init::kZero)});
    if (is_told_level()) add_weight(name + ".embed", {out, options_.embedding});
  }

  // stages: one a stage, last the output [1, W]; biases: one a stage.
  Weights build(const Effective& effective) const override {
    Weights out;
    at::Tensor active;  // [T, e]
    if (is_told_level()) active = at::silu(embed(effective, "embed1", "embed2"));
    for (const auto& [name, bias] : stages_) {
      out.stages.push_back(effective.at(name));
      out.biases.push_back(
          is_told_level() ? at::linear(active, effective.at(name + ".embed"), bias) : bias.unsqueeze(0));
    }
    out.stages.push_back(effective.at("out"));
    return out;
  }

  std::shared_ptr<const Frozen> freeze(const Weights& weights, at::ScalarType products) const override {
    return std::make_shared<const SmallNetPlan>(
        weights.stages, SmallNetForm{shape_, residual_, options_.gain, products});
  }

  at::Tensor features(
      const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const override {
    if (const auto* plan = dynamic_cast<const SmallNetPlan*>(weights.frozen.get()))
      return plan->features(z, weights.stages, biases);
    at::Tensor h = z;
    for (std::size_t j = 0; j < biases.size(); ++j) {
      const at::Tensor& weight = weights.stages[j];
      const at::Tensor fused = is_told_level() ? at::Tensor() : biases[j];  // one bias for all rows: in the kernel
      at::Tensor out;
      if (weight.dim() == 4) {
        const std::int64_t stride = weight.size(3) == 4 ? 2 : 1;
        out = at::conv2d(h, weight, fused, {stride, stride}, {1, 1});
        if (is_told_level()) out = out + biases[j].unsqueeze(-1).unsqueeze(-1);
      } else {
        out = at::linear(h.flatten(1), weight, fused);
        if (is_told_level()) out = out + biases[j];
      }
      out = at::silu(out);
      h = j > 0 && j == residual_ ? h + out : out;
    }
    return h;
  }

  struct Stage {
    std::string name;
    at::Tensor bias;  // [out]
  };
  LatentShape shape_;
  std::vector<Stage> stages_;
  std::size_t residual_ = 0;  // of stages_: adds to its input; 0: none does
};

}  // namespace

std::unique_ptr<EnergyNet> make_small_net(
    const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting) {
  return std::make_unique<SmallEnergyNet>(options, shape, setting);
}

}  // namespace hebm::prior
