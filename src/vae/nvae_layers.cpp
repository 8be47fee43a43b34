#include "vae/nvae_layers.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include <cmath>

namespace hebm::vae {
namespace {

constexpr double kWeightNormEpsilon = 1e-5;  // outside the root
constexpr double kInitialNormOffset = 1e-2;

at::Tensor channel_norm(const at::Tensor& weight) {
  return weight.square().sum({1, 2, 3}, true).sqrt();
}  // [out, 1, 1, 1]

}  // namespace

at::Tensor NvaeConv::effective_weight() const {
  const at::Tensor v = mask.defined() ? weight * mask : weight;
  if (!log_weight_norm.defined()) return v;
  return log_weight_norm.exp() * v / (channel_norm(v) + kWeightNormEpsilon);
}

at::Tensor NvaeConv::apply(const at::Tensor& x, const at::Tensor& effective) const {
  return at::conv2d(x, effective, bias, {stride, stride}, {padding, padding}, {1, 1}, groups);
}

at::Tensor Pass::norm(const BatchNorm& norm, const at::Tensor& x, bool silu) const {
  return nets::batch_norm(x, norm, mode_, silu);
}

at::Tensor Pass::conv(const NvaeConv& conv, const at::Tensor& x) const {
  return conv.apply(x, conv.effective_weight());
}

at::Tensor SqueezeExcite::operator()(const at::Tensor& x) const {
  if (!squeeze.weight.defined()) return x;
  const at::Tensor factor = at::sigmoid(excite(at::relu(squeeze(x.mean({2, 3})))));  // [B, C]
  return x * factor.unsqueeze(2).unsqueeze(3);
}

NvaeConv NvaeLayers::conv(const std::string& name, const ConvShape& shape, const at::Tensor& mask, double norm_factor) {
  NvaeConv out;
  const std::int64_t fan_in = shape.in / shape.groups * shape.kernel * shape.kernel;
  out.weight = params_.add(
      name + ".weight", {shape.out, shape.in / shape.groups, shape.kernel, shape.kernel}, nets::Init::kUniformFanIn);
  if (shape.bias) {
    out.bias = params_.add(
        name + ".bias", {shape.out}, nets::Init::kUniformFanIn, 1.0 / std::sqrt(static_cast<double>(fan_in)));
  }
  if (mask.defined()) out.mask = params_.add_constant(mask);
  if (shape.weight_norm) {
    out.log_weight_norm = params_.add(name + ".log_weight_norm", {shape.out, 1, 1, 1}, nets::Init::kZero);
    const c10::NoGradGuard no_grad;
    const at::Tensor masked = mask.defined() ? out.weight * mask : out.weight;
    out.log_weight_norm.copy_((channel_norm(masked) + kInitialNormOffset).log() + std::log(norm_factor));
  }
  out.stride = shape.stride;
  out.padding = shape.kernel / 2;
  out.groups = shape.groups;
  out.index = convs_.size();
  convs_.push_back(out);
  return out;
}

BatchNorm NvaeLayers::norm(const std::string& name, std::int64_t channels) {
  norms_.push_back({params_.add(name + ".weight", {channels}, nets::Init::kOne),
      params_.add(name + ".bias", {channels}, nets::Init::kZero),
      params_.add_state(name + ".running_mean", {channels}, nets::Init::kZero),
      params_.add_state(name + ".running_var", {channels}, nets::Init::kOne)});
  return norms_.back();
}

SqueezeExcite NvaeLayers::squeeze_excite(const std::string& name, std::int64_t channels) {
  const std::int64_t hidden = std::max<std::int64_t>(channels / 16, 4);
  return {nets::make_linear(params_, name + ".0", channels, hidden),
      nets::make_linear(params_, name + ".2", hidden, channels)};
}

}  // namespace hebm::vae
