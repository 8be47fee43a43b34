// NVAE's cells. Residual ones of the set res_mbconv: skip(x) + 0.1 branch(x), x [B, C, H, W]; down
// cells give [B, 2 C, H/2, W/2], up cells [B, C/2, 2 H, 2 W]. Flows of the posterior.
#pragma once
#include <array>
#include <string>
#include "vae/nvae_layers.h"

namespace hebm::vae {

// Encoder and pre-processing: twice batch norm, SiLU, 3x3 (`res_bnswish`); the first has a stride.
struct ResCell {
  bool down = false;
  std::array<NvaeConv, 4> skip;  // of a down cell: SiLU, then 1x1 of stride 2 at the offsets (0,0), (1,1), (0,1), (1,0)
  std::array<BatchNorm, 2> norms;
  std::array<NvaeConv, 2> convs;
  SqueezeExcite squeeze_excite;
  at::Tensor operator()(const at::Tensor& x, const Pass& pass) const;
};

// Decoder and post-processing (`mconv_e6k5g0`, `mconv_e3k5g0`): batch norm, 1x1 to E C, batch norm,
// SiLU, depthwise 5x5, batch norm, SiLU, 1x1, batch norm. An up cell doubles the side first
// (nearest); its skip is bilinear x2 (corners aligned) and a 1x1.
struct MbCell {
  bool up = false;
  NvaeConv skip;  // of an up cell
  BatchNorm norm_in, norm_expanded, norm_depthwise, norm_out;
  NvaeConv expand, depthwise, project;  // without weight norm and bias
  SqueezeExcite squeeze_excite;
  at::Tensor operator()(const at::Tensor& x, const Pass& pass) const;
};

ResCell make_res_cell(NvaeLayers& layers, const std::string& name, std::int64_t channels, bool down, bool use_se);
MbCell make_mb_cell(
    NvaeLayers& layers, const std::string& name, std::int64_t channels, bool up, std::int64_t expansion, bool use_se);

// Autoregressive flow of NVAE's posterior: z <- z - mu(z), where mu of an element looks only at
// elements before it in raster order (rows, columns, channels), so log |det| = 0 and one pass does
// it. A pair is two of them, the second in reversed raster order.
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
