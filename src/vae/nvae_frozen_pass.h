// The constants of a frozen NVAE's latent path, channels last: weight norm and batch norm folded
// into matrices once (in float64), so that a cell is matrix product, depthwise kernel, matrix
// product. A batch norm before a 1x1 convolution goes into its columns and a bias, one after it
// into its rows; none stands before padding, so all of it is exact. s lacks a constant vector that
// is never added: biases of linear layers are carried along and meet s only where an activation
// reads it.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>
#include "nets/depthwise.h"
#include "nets/gemm.h"
#include "vae/frozen_path.h"
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

struct FoldForm {
  std::int64_t slice = 0;                // hidden channels of one, a multiple of 32, or all; 0 chooses for each cell
  at::ScalarType products = at::kFloat;  // of expand, project, skip, combine_s: kFloat or kBFloat16
};
FoldedDecoder fold_decoder(const Nvae& net, const FoldForm& form);

// Over a folded NVAE's latent path, channels last. s: [m H W, C] of the layer's scale; hidden: [m,
// H, W, h] a slice.
class NvaePass final : public FrozenPass {
 public:
  NvaePass(const FoldedDecoder& decoder, std::int64_t images);  // decoder must outlive this object
  void forward(const at::Tensor& u, const std::vector<at::Tensor>& z, std::int64_t row) override;
  void reverse(const std::vector<at::Tensor>& grads, std::int64_t row, const at::Tensor& out) override;
 private:
  struct CellState {
    std::vector<at::Tensor> in_slope, out_slope;  // [m, H, W, h] a slice
    at::Tensor branch;                            // [m, H W, C] before squeeze-and-excitation
    at::Tensor squeezed, factor;                  // [m, R] behind the ReLU, [m, 1, C] = 0.1 sigmoid
  };
  struct LayerState {
    std::vector<CellState> cells;
    at::Tensor activated;    // [m H W, C] ELU(s)
    at::Tensor clamped;      // [m H W, 2 n] tanh(raw / 5)
    at::Tensor sigma, u, z;  // [m H W, n]
  };

  void expand_to(const FoldedCell& cell, const FoldedCell::Slice& slice, const nets::Rows& s, at::Tensor& out);
  void cell_forward(const FoldedCell& cell, CellState& state, at::Tensor& s);
  void cell_reverse(const FoldedCell& cell, CellState& state, at::Tensor& g);
  at::Tensor branch_gradient(const FoldedCell& cell, const CellState& state, const at::Tensor& g) const;
  void sample(const FoldedLayer& layer, LayerState& state, const at::Tensor& s);
  at::Tensor sample_reverse(const FoldedLayer& layer, LayerState& state, const at::Tensor& gz) const;

  const FoldedDecoder& decoder_;
  std::vector<LayerState> layers_;
  at::Tensor active_, low_;  // flat: the largest hidden slice, and of an up cell before it is doubled
  // Left sides of products, rounded where the matrices are: of the whole cell, of a slice.
  std::vector<at::BFloat16> of_cell_, of_slice_;
};

// The path of a frozen net. images: of a pass; 0 chooses.
std::shared_ptr<const FrozenPath> freeze_nvae(const Nvae& net, const FoldForm& form = {}, std::int64_t images = 0);

}  // namespace hebm::vae
