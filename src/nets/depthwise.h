// Depthwise 5x5 convolution of our own, channels last, stride 1, padding 2, float32 on the CPU,
// without gradient to the taps: for the cells of a frozen NVAE. torch's grouped convolution reaches
// a tenth of the matrix-product rate there; here bias and the SiLU before and after are part of one
// pass over the image. Kernels: nets/depthwise_kernels.h.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include "nets/depthwise_kernels.h"
#include "nets/isa.h"

namespace hebm::nets {

// One layer's constants as the kernels read them.
struct Depthwise {
  std::int64_t channels = 0;
  at::Tensor taps, turned;  // [ceil(C/16), 25, 16]: the weights, and those of the gradient (turned by 180 degrees)
  at::Tensor in_bias;       // [16 ceil(C/16)] added before the first SiLU, or undefined
  at::Tensor bias;          // likewise, added to the convolution's result
};

// weight [C, 1, 5, 5]; in_bias, bias [C] or undefined, as float32. Error(kRuntime): other shapes.
Depthwise pack_depthwise(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& in_bias = {});

// All x, g and results: [B, H, W, C] contiguous float32; the images and channels are shared by
// torch's threads unless the caller is one of several threads already.
// out = SiLU(conv(SiLU(x + in_bias)) + bias). x becomes the slope of the first SiLU, out_slope that
// of the second: what depthwise_silu_gradient needs. x, out, out_slope are three tensors.
void depthwise_silu(
    const Depthwise& layer, at::Tensor& x, at::Tensor& out, at::Tensor& out_slope, Isa isa = best_isa());
// From g = d/d out to d/dx, which replaces in_slope.
void depthwise_silu_gradient(const Depthwise& layer, const at::Tensor& g, at::Tensor& in_slope,
    const at::Tensor& out_slope, Isa isa = best_isa());

}  // namespace hebm::nets
