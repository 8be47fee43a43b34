// The constants of a frozen NVAE's latent path, channels last: weight norm and batch norm folded
// into matrices once (in float64), so that a cell is matrix product, depthwise kernel, matrix
// product. A batch norm before a 1x1 convolution goes into its columns and a bias, one after it
// into its rows; none stands before padding, so all of it is exact. s lacks a constant vector that
// is never added: biases of linear layers are carried along and meet s only where an activation
// reads it.
#pragma once
#include <ATen/core/Tensor.h>
#include <vector>
#include "nets/depthwise.h"
#include "vae/nvae.h"

namespace hebm::vae {

// Matrices [in, out], to be multiplied from the right; C channels of s behind the cell, C_in before
// it, h of the slice.
struct FoldedCell {
  struct Slice {
    at::Tensor expand;          // [C_in, h]
    nets::Depthwise depthwise;  // h channels; its in_bias is the expansion's
    at::Tensor project;         // [h, C]; without squeeze-and-excitation 0.1 is in it
  };
  bool up = false;
  at::Tensor skip;            // [C_in, C], of an up cell
  std::vector<Slice> slices;  // of the hidden channels: what one of them touches stays in a core's cache
  at::Tensor bias;            // [C] of the projection, where squeeze-and-excitation sees it
  at::Tensor squeeze, squeeze_bias, excite, excite_bias;  // [C, R], [R], [R, C], [C]; undefined: none
};

struct FoldedLayer {
  LatentShape shape;          // of z: n channels
  std::int64_t channels = 0;  // of s
  std::vector<FoldedCell> cells;
  at::Tensor missing;                // [C] what s lacks when the sampler reads it
  at::Tensor sampler, sampler_bias;  // [C, 2 n], [2 n] (not of layer 0)
  at::Tensor combine_s, combine_z;   // [C, C], [n, C] (not of the last layer)
};

struct FoldedDecoder {
  std::vector<FoldedLayer> layers;
  at::Tensor start;  // [H W, C] combine_s of the start: s behind layer 0 without z
};

// slice: hidden channels of a slice, a multiple of 32, or all; 0 chooses for each cell.
FoldedDecoder fold_decoder(const Nvae& net, std::int64_t slice);

}  // namespace hebm::vae
