#include "prior/small_energy_net.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <algorithm>
#include "nets/layers.h"

namespace hebm::prior {

constexpr std::int64_t kFlattenSide = 2;

SmallEnergyNet::SmallEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting)
    : EnergyNet(options, setting) {
  const std::int64_t w = options.width, e = options.embedding;
  if (num_levels_ > 1) {
    sinusoid_ = params_.add_constant(nets::sinusoidal_embedding(num_levels_, e).to(params_.dtype()));
    embed1_ = add_weight("embed1", {e, e}, 0);
    embed2_ = add_weight("embed2", {e, e}, 0);
  }
  std::int64_t channels = shape.channels, height = shape.height, width = shape.width;
  const bool convolves = options.net == NetKind::kSmall && (height > kFlattenSide || width > kFlattenSide);
  if (convolves) {
    add_stage({w, channels, 3, 3}, height * width);
    channels = w;
    while (height > kFlattenSide || width > kFlattenSide) {
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
  out_ = add_weight("out", {1, w}, 0);
  finish(w);
}

void SmallEnergyNet::add_stage(std::vector<std::int64_t> shape, std::int64_t positions) {
  const std::string name = (shape.size() == 4 ? "conv" : "dense") + std::to_string(stages_.size());
  const std::int64_t out = shape[0];
  stages_.push_back(add_weight(name, std::move(shape), positions));
  biases_.push_back(params_.add(name + ".bias", {out}, nets::Init::kZero));
  if (num_levels_ > 1) tables_.push_back(add_weight(name + ".embed", {out, options_.embedding}, 0));
}

EnergyNet::Weights SmallEnergyNet::build(const std::vector<at::Tensor>& effective) const {
  Weights out;
  for (const auto stage : stages_) out.stages.push_back(effective[stage]);
  out.stages.push_back(effective[out_]);
  at::Tensor active;  // [T, e]
  if (num_levels_ > 1) {
    active = at::silu(at::linear(at::silu(at::linear(sinusoid_, effective[embed1_])), effective[embed2_]));
  }
  for (std::size_t j = 0; j < biases_.size(); ++j) {
    out.biases.push_back(
        num_levels_ > 1 ? at::linear(active, effective[tables_[j]], biases_[j]) : biases_[j].unsqueeze(0));
  }
  return out;
}

at::Tensor SmallEnergyNet::features(
    const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const {
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
    h = j > 0 && j == residual_ ? h + out : out;
  }
  return h;
}

}  // namespace hebm::prior
