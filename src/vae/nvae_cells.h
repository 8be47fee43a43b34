// NVAE's residual cells of the set res_mbconv: skip(x) + 0.1 branch(x). x [B, C, H, W]; a down cell
// gives [B, 2 C, H/2, W/2], an up cell [B, C/2, 2 H, 2 W].
#pragma once
#include <array>
#include <string>
#include "vae/nvae_layers.h"

namespace hebm::vae {

// Encoder and pre-processing: twice batch norm, SiLU, 3x3 convolution (`res_bnswish`); the first
// carries the stride.
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

}  // namespace hebm::vae
