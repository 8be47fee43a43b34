#include "nets/depthwise.h"
#include <ATen/Parallel.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/zeros.h>
#include <memory>
#include <new>
#include "base/error.h"

namespace hebm::nets {
namespace {

using detail::DepthwiseImage;
using detail::DepthwiseKernel;
using detail::DepthwiseMode;
using detail::kChannelBlock;
using detail::kTapLanes;
using detail::kTaps;

DepthwiseKernel kernel_of(Isa isa) {
  if (isa == Isa::kAvx512) return detail::depthwise_avx512_kernel();
  return isa == Isa::kAvx2 ? detail::depthwise_avx2_kernel() : detail::depthwise_plain_kernel();
}

std::int64_t num_blocks(std::int64_t channels, std::int64_t block) { return (channels + block - 1) / block; }

at::Tensor pack_bias(const at::Tensor& bias, std::int64_t channels) {
  if (!bias.defined()) return {};
  check(bias.dim() == 1 && bias.size(0) == channels, ExitCode::kRuntime,
      "depthwise: a bias of {} values for {} channels", bias.numel(), channels);
  at::Tensor out = at::zeros({num_blocks(channels, kTapLanes) * kTapLanes}, at::kFloat);
  out.narrow(0, 0, channels).copy_(bias.detach());
  return out;
}

struct Scratch {
  struct Free {
    void operator()(float* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<float[], Free> floats;
  explicit Scratch(std::int64_t width)
      : floats(static_cast<float*>(::operator new[](
            static_cast<std::size_t>(detail::scratch_floats(width)) * sizeof(float), std::align_val_t{64}))) {}
};

struct Operands {
  at::Tensor taps, bias, in_bias, in, out, in_slope, out_slope;
};

const float* data_of(const at::Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }
float* mutable_data_of(const at::Tensor& t, std::int64_t offset) { return t.mutable_data_ptr<float>() + offset; }

void check_operand(const Depthwise& layer, const at::Tensor& in, const at::Tensor& t) {
  check(t.dim() == 4 && t.sizes() == in.sizes() && t.size(3) == layer.channels && t.is_contiguous() && t.is_cpu() &&
            t.scalar_type() == at::kFloat,
      ExitCode::kRuntime, "depthwise: expected contiguous float32 [B, H, W, {}] on the host, all alike",
      layer.channels);
}

void run(DepthwiseMode mode, const Depthwise& layer, const Operands& o, Isa isa) {
  for (const auto& t : {o.in, o.out, o.in_slope, o.out_slope}) check_operand(layer, o.in, t);
  check(isa_supported(isa), ExitCode::kRuntime, "depthwise: this processor or build lacks the instruction set");
  const DepthwiseKernel kernel = kernel_of(isa);
  const std::int64_t height = o.in.size(1), width = o.in.size(2), blocks = num_blocks(layer.channels, kChannelBlock);
  at::parallel_for(0, o.in.size(0) * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    const Scratch scratch(width);
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t offset = task / blocks * height * width * layer.channels;
      const DepthwiseImage image{height, width, layer.channels, layer.channels, data_of(o.taps), data_of(o.bias),
          data_of(o.in_bias), data_of(o.in) + offset, mutable_data_of(o.out, offset),
          mutable_data_of(o.in_slope, offset), mutable_data_of(o.out_slope, offset), scratch.floats.get()};
      kernel(mode, image, task % blocks * kChannelBlock);
    }
  });
}

}  // namespace

Depthwise pack_depthwise(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& in_bias) {
  check(weight.dim() == 4 && weight.size(0) >= 1 && weight.size(1) == 1 && weight.size(2) == 5 && weight.size(3) == 5,
      ExitCode::kRuntime, "depthwise: expected weights [C, 1, 5, 5]");
  Depthwise layer;
  layer.channels = weight.size(0);
  const std::int64_t blocks = num_blocks(layer.channels, kTapLanes);
  const at::Tensor padded = at::zeros({blocks * kTapLanes, kTaps}, at::kFloat);
  padded.narrow(0, 0, layer.channels).copy_(weight.detach().reshape({layer.channels, kTaps}));
  layer.taps = padded.reshape({blocks, kTapLanes, kTaps}).transpose(1, 2).contiguous();
  layer.turned = at::flip(layer.taps, {1}).contiguous();
  layer.bias = pack_bias(bias, layer.channels);
  layer.in_bias = pack_bias(in_bias, layer.channels);
  return layer;
}

void depthwise_silu(const Depthwise& layer, at::Tensor& x, at::Tensor& out, at::Tensor& out_slope, Isa isa) {
  run(DepthwiseMode::kSilu, layer, {layer.taps, layer.bias, layer.in_bias, x, out, x, out_slope}, isa);
}

void depthwise_silu_gradient(
    const Depthwise& layer, const at::Tensor& g, at::Tensor& in_slope, const at::Tensor& out_slope, Isa isa) {
  run(DepthwiseMode::kBackward, layer, {layer.turned, {}, {}, g, in_slope, in_slope, out_slope}, isa);
}

}  // namespace hebm::nets
