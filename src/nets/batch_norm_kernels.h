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

struct Part {  // [first, last)
  std::int64_t first, last;
};

// v = scale[c] x + shift[c], then SiLU or nothing.
struct NormMap {
  const float *scale, *shift;
  bool silu;
};

// sum[c] of d and moment[c] of d x: d = dy act'(v), or x where dy is null (`map` is not read).
void norm_sums(const float* x, const float* dy, const NormShape& shape, Part channels, const NormMap& map, double* sum,
    double* moment);

// y = act(v).
void norm_apply(const float* x, const NormShape& shape, Part outer, const NormMap& map, float* y);

// dx = scale[c] d + slope[c] x + offset[c], where d = dy act'(v) and `line` has slope and offset as
// a NormMap without SiLU.
void norm_backward_apply(const float* x, const float* dy, const NormShape& shape, Part outer, const NormMap& map,
    const NormMap& line, float* dx);

}  // namespace hebm::nets::detail
