// Convolution as one matrix product over all pixels of all images, channels last: for nets whose
// maps are small and whose weights are many (the paper's energy nets), where a direct convolution
// spends its time on rearranging weights and maps at every call.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>

namespace hebm::nets {

struct ConvShape {
  std::int64_t kernel = 3, stride = 1, padding = 1;
  std::int64_t output(std::int64_t side) const { return (side + 2 * padding - kernel) / stride + 1; }
};

// [O, C, k, k] -> [k k C, O], contiguous; differentiable.
at::Tensor conv_matrix(const at::Tensor& weight);

// x [B, H, W, C] -> [B, H', W', O], H' = (H + 2 padding - kernel) / stride + 1; matrix from
// conv_matrix(). Differentiable once, in both. On the CPU float32 and float64, and float32 by a
// matrix of bfloat16, which rounds x for the products; elsewhere by at::conv2d. Error(kRuntime) for
// shapes that do not fit together.
at::Tensor conv_pixels(const at::Tensor& x, const at::Tensor& matrix, const ConvShape& shape);

}  // namespace hebm::nets
