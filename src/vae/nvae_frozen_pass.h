// Forward and reverse pass of a folded NVAE's latent path over one chunk of m images, channels
// last, with all tensors that live longer than an operation kept from step to step (a fresh
// megabyte costs more in page faults than a matrix product in it). s: [m H W, C] of the layer's
// scale; hidden: [m, H, W, h] a slice; autograd sees none of it.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>
#include "vae/nvae_fold.h"

namespace hebm::vae {

class FrozenPass {
 public:
  FrozenPass(const FoldedDecoder& decoder, std::int64_t images);  // decoder must outlive this object
  std::int64_t images() const { return images_; }

  // u [m, D] -> z, written to rows [row, row + m) of z[i] [B, n, H, W]. Keeps what reverse() needs.
  void forward(const at::Tensor& u, const std::vector<at::Tensor>& z, std::int64_t row);
  // grads[i]: d/d z[i], the same rows (undefined: zero) -> d/du, written to out [m, D]. Once a
  // forward(): it uses up what was kept.
  void reverse(const std::vector<at::Tensor>& grads, std::int64_t row, const at::Tensor& out);
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

  void prepare_cell(
      const FoldedCell& cell, std::int64_t height, std::int64_t width, std::int64_t channels, CellState& state);
  void expand_to(const FoldedCell& cell, const FoldedCell::Slice& slice, const at::Tensor& s, at::Tensor& out);
  void cell_forward(const FoldedCell& cell, CellState& state, at::Tensor& s);
  void cell_reverse(const FoldedCell& cell, CellState& state, at::Tensor& g);
  at::Tensor branch_gradient(const FoldedCell& cell, const CellState& state, const at::Tensor& g) const;
  void sample(const FoldedLayer& layer, LayerState& state, const at::Tensor& s);
  at::Tensor sample_reverse(const FoldedLayer& layer, LayerState& state, const at::Tensor& gz) const;

  const FoldedDecoder& decoder_;
  std::int64_t images_;
  std::vector<LayerState> layers_;
  at::Tensor active_, low_;  // flat: the largest hidden slice, and of an up cell before it is doubled
};

}  // namespace hebm::vae
