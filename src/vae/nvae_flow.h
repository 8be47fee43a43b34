// Autoregressive flow of NVAE's posterior: z <- z - mu(z), where mu of an element looks only at
// elements before it in raster order (rows, columns, channels), so log |det| = 0 and one pass does
// it. A pair is two of them, the second in reversed raster order.
#pragma once
#include <array>
#include <string>
#include "vae/nvae_layers.h"

namespace hebm::vae {

struct FlowCell {
  NvaeConv first, depthwise, mean;                                     // masked 3x3 c -> 6c, depthwise 5x5, 1x1 6c -> c
  at::Tensor operator()(const at::Tensor& z, const Pass& pass) const;  // [B, c, h, w] -> the same shape
};

struct FlowPair {
  std::array<FlowCell, 2> cells;
  at::Tensor operator()(const at::Tensor& z, const Pass& pass) const { return cells[1](cells[0](z, pass), pass); }
};

FlowPair make_flow_pair(NvaeLayers& layers, const std::string& name, std::int64_t channels);

// [out, in / groups, k, k] of 0 and 1: rows above the centre see all; the centre's row left of it
// sees all, at the centre output o of group o out-of-in order sees inputs before its own (and its
// own unless zero_diagonal); the rest nothing. Flipped in space where `reversed`. Depthwise (groups
// = in = out): its own channel at the centre.
at::Tensor flow_mask(
    std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t groups, bool zero_diagonal, bool reversed);

}  // namespace hebm::vae
