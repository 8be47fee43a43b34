// The loops under batch_norm.h for float32 in host memory: per-channel sums in float64 and the
// fused affine map with SiLU, forward and backward, each one pass over memory. x as [outer, C,
// inner]: inner > 1 for [B, C, H, W], inner = 1 for channels-last. Compiled for several instruction
// sets.
#pragma once
#include <cstdint>

namespace hebm::nets::detail {

struct NormShape {
  std::int64_t outer, channels, inner;
};

// sum[c] and square[c] of x; channels [first, last).
void norm_sums(const float* x, const NormShape& shape, std::int64_t first, std::int64_t last, double* sum,
               double* square);

// y = act(scale[c] x + shift[c]); outer rows [first, last).
void norm_apply(const float* x, const NormShape& shape, std::int64_t first, std::int64_t last, const float* scale,
                const float* shift, bool silu, float* y);

// With d = dy act'(scale[c] x + shift[c]): sum[c] of d and moment[c] of d x; channels [first,
// last).
void norm_backward_sums(const float* x, const float* dy, const NormShape& shape, std::int64_t first, std::int64_t last,
                        const float* scale, const float* shift, bool silu, double* sum, double* moment);

// dx = scale[c] d + slope[c] x + offset[c]; outer rows [first, last).
void norm_backward_apply(const float* x, const float* dy, const NormShape& shape, std::int64_t first, std::int64_t last,
                         const float* scale, const float* shift, bool silu, const float* slope, const float* offset,
                         float* dx);

}  // namespace hebm::nets::detail
