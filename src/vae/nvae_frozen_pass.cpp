#include "vae/nvae_frozen_pass.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_bilinear2d_backward.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <array>
#include "base/error.h"

namespace hebm::vae {
namespace {

// Of a pass's matrices: enough rows for the products, a state s that is small enough for the cache.
constexpr std::int64_t kMinPixels = 512, kMaxPixels = 1024, kStateValues = 131072;

// Rows of [B, n, H, W] as [m H W, n], and back.
at::Tensor to_pixels(const at::Tensor& t) { return t.flatten(2).transpose(1, 2).flatten(0, 1); }
at::Tensor from_pixels(const at::Tensor& t, std::int64_t images) {
  return t.view({images, -1, t.size(1)}).transpose(1, 2);  // [m, n, H W]
}

// [m H W, C] -> [m, C, H, W], a channels-last view, and back.
at::Tensor image_view(const at::Tensor& s, std::int64_t images, std::int64_t height, std::int64_t width) {
  return s.view({images, height, width, s.size(1)}).permute({0, 3, 1, 2});
}
at::Tensor pixel_view(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }

at::Tensor matrix(const at::Tensor& hidden) { return hidden.view({-1, hidden.size(3)}); }

// x [rows, inner], for products with matrices of such a type.
nets::Rows rows_of(const at::Tensor& x, const at::Tensor& like, std::vector<at::BFloat16>& scratch) {
  check(x.is_contiguous(), ExitCode::kRuntime, "NVAE's path: rows of a product are not side by side");
  return {x.const_data_ptr<float>(), x.size(0), x.size(1), like.scalar_type(), scratch};
}
float* data_of(at::Tensor& t) { return t.mutable_data_ptr<float>(); }

}  // namespace

NvaePass::NvaePass(const FoldedDecoder& decoder, std::int64_t images) : FrozenPass(images), decoder_(decoder) {
  std::int64_t largest = 0;
  layers_.resize(decoder.layers.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const FoldedLayer& layer = decoder.layers[i];
    const std::int64_t pixels = images * layer.shape.height * layer.shape.width;
    layers_[i].cells.resize(layer.cells.size());
    for (std::size_t c = 0; c < layer.cells.size(); ++c) {
      CellState& state = layers_[i].cells[c];
      for (const auto& slice : layer.cells[c].slices) {
        const std::array size{images, layer.shape.height, layer.shape.width, slice.depthwise.channels};
        state.in_slope.push_back(at::empty(size, at::kFloat));
        state.out_slope.push_back(at::empty(size, at::kFloat));
        largest = std::max(largest, state.in_slope.back().numel());
      }
      state.branch = at::empty({pixels, layer.channels}, at::kFloat);
    }
    if (i > 0) layers_[i].activated = at::empty({pixels, layer.channels}, at::kFloat);
  }
  active_ = at::empty({largest}, at::kFloat);
  low_ = at::empty({largest / 4}, at::kFloat);
}

// Nearest doubling commutes with all that is before the depthwise convolution, so an up cell
// expands at the coarse scale.
void NvaePass::expand_to(const FoldedCell& cell, const FoldedCell::Slice& slice, const nets::Rows& s, at::Tensor& out) {
  if (!cell.up) return s.times(slice.expand, data_of(out), false);
  const std::int64_t height = out.size(1) / 2, width = out.size(2) / 2, h = out.size(3);
  s.times(slice.expand, data_of(low_), false);
  const at::Tensor low = low_.narrow(0, 0, images_ * height * width * h).view({images_, height, 1, width, 1, h});
  out.view({images_, height, 2, width, 2, h}).copy_(low.expand({images_, height, 2, width, 2, h}));
}

void NvaePass::cell_forward(const FoldedCell& cell, CellState& state, at::Tensor& s) {
  const nets::Rows rows = rows_of(s, cell.slices[0].expand, of_cell_);
  if (cell.bias.defined()) state.branch.copy_(cell.bias.expand_as(state.branch));
  for (std::size_t j = 0; j < cell.slices.size(); ++j) {
    const FoldedCell::Slice& slice = cell.slices[j];
    expand_to(cell, slice, rows, state.in_slope[j]);
    at::Tensor active = active_.narrow(0, 0, state.in_slope[j].numel()).view(state.in_slope[j].sizes());
    nets::depthwise_silu(slice.depthwise, state.in_slope[j], active, state.out_slope[j]);
    rows_of(matrix(active), slice.project, of_slice_)
        .times(slice.project, data_of(state.branch), j > 0 || cell.bias.defined());
  }
  if (cell.up) {
    const std::int64_t height = state.in_slope[0].size(1), width = state.in_slope[0].size(2);
    at::Tensor skipped = at::empty({s.size(0), cell.skip.size(1)}, at::kFloat);
    rows.times(cell.skip, data_of(skipped), false);
    s = pixel_view(at::upsample_bilinear2d(image_view(skipped, images_, height / 2, width / 2), {height, width}, true));
  }
  if (!cell.squeeze.defined()) {
    s.add_(state.branch);
    return;
  }
  const at::Tensor branch = state.branch.view({images_, -1, state.branch.size(1)});
  state.squeezed = at::relu(at::addmm(cell.squeeze_bias, branch.mean(1), cell.squeeze));
  state.factor = at::sigmoid(at::addmm(cell.excite_bias, state.squeezed, cell.excite)).mul_(kBranchWeight).unsqueeze(1);
  s.view(branch.sizes()).addcmul_(branch, state.factor);
}

// d/d branch of [m H W, C] for g = d/ds.
at::Tensor NvaePass::branch_gradient(const FoldedCell& cell, const CellState& state, const at::Tensor& g) const {
  if (!cell.squeeze.defined()) return g.clone();  // a copy: the slices add to g while they read this
  const at::Tensor branch = state.branch.view({images_, -1, state.branch.size(1)}), outer = g.view(branch.sizes());
  const at::Tensor sigmoid = state.factor.squeeze(1) / kBranchWeight;
  const at::Tensor excited = (branch * outer).sum(1) * (kBranchWeight * sigmoid * (1.0 - sigmoid));
  const at::Tensor squeezed = at::mm(excited, cell.excite.t()) * (state.squeezed > 0);
  const at::Tensor mean = at::mm(squeezed, cell.squeeze.t()).mul_(1.0 / static_cast<double>(branch.size(1)));
  return (outer * state.factor).add_(mean.unsqueeze(1)).view(g.sizes());
}

void NvaePass::cell_reverse(const FoldedCell& cell, CellState& state, at::Tensor& g) {
  const at::Tensor of_branch = branch_gradient(cell, state, g);
  if (cell.up) {
    const std::int64_t height = state.in_slope[0].size(1), width = state.in_slope[0].size(2), channels = g.size(1);
    const at::Tensor low = at::upsample_bilinear2d_backward(
        image_view(g, images_, height, width), {height, width}, {images_, channels, height / 2, width / 2}, true);
    g = at::empty({images_ * height * width / 4, cell.skip.size(0)}, at::kFloat);
    rows_of(pixel_view(low), cell.skip, of_slice_).times(cell.skip, data_of(g), false, true);
  }
  const nets::Rows rows = rows_of(of_branch, cell.slices[0].project, of_cell_);
  for (std::size_t j = 0; j < cell.slices.size(); ++j) {
    const FoldedCell::Slice& slice = cell.slices[j];
    at::Tensor& slope = state.in_slope[j];
    at::Tensor active = active_.narrow(0, 0, slope.numel()).view(slope.sizes());
    rows.times(slice.project, data_of(active), false, true);
    nets::depthwise_silu_gradient(slice.depthwise, active, slope, state.out_slope[j]);
    at::Tensor of_hidden = slope;
    if (cell.up) {
      const std::int64_t height = slope.size(1) / 2, width = slope.size(2) / 2, h = slope.size(3);
      of_hidden = slope.view({images_, height, 2, width, 2, h}).sum({2, 4});
    }
    rows_of(matrix(of_hidden), slice.expand, of_slice_).times(slice.expand, data_of(g), true, true);
  }
}

// z = mu + sigma u from s (Eq. 15).
void NvaePass::sample(const FoldedLayer& layer, LayerState& state, const at::Tensor& s) {
  const std::int64_t n = layer.shape.channels;
  at::add_out(state.activated, s, layer.missing);
  at::elu_(state.activated);
  state.clamped = at::addmm(layer.sampler_bias, state.activated, layer.sampler).div_(kNvaeClamp).tanh_();
  state.sigma = (state.clamped.narrow(1, n, n) * kNvaeClamp).exp_().add_(kNvaeSigmaOffset);
  state.z = (state.sigma * state.u).add_(state.clamped.narrow(1, 0, n), kNvaeClamp);
}

// gz -> what it adds to d/ds.
at::Tensor NvaePass::sample_reverse(const FoldedLayer& layer, LayerState& state, const at::Tensor& gz) const {
  const std::int64_t n = layer.shape.channels;
  const at::Tensor raw = 1.0 - state.clamped.square();  // d soft clamp / d raw
  raw.narrow(1, 0, n).mul_(gz);
  raw.narrow(1, n, n).mul_(gz * state.u * (state.sigma - kNvaeSigmaOffset));
  // ELU' = 1 above 0, ELU + 1 below.
  return at::mm(raw, layer.sampler.t()).mul_(state.activated.clamp_max_(0.0).add_(1.0));
}

void NvaePass::forward(const at::Tensor& u, const std::vector<at::Tensor>& z, std::int64_t row) {
  at::Tensor s;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const FoldedLayer& layer = decoder_.layers[i];
    LayerState& state = layers_[i];
    const auto [n, height, width] = layer.shape;
    state.u = u.narrow(1, first, layer.shape.size())
                  .view({images_, n, height * width})
                  .transpose(1, 2)
                  .reshape({-1, n})
                  .contiguous();
    first += layer.shape.size();
    for (std::size_t c = 0; c < layer.cells.size(); ++c) cell_forward(layer.cells[c], state.cells[c], s);
    if (i == 0) {
      state.z = kNvaeTopSigma * state.u;
    } else {
      sample(layer, state, s);
    }
    z[i].narrow(0, row, images_).flatten(2).copy_(from_pixels(state.z, images_));
    if (i + 1 == layers_.size()) return;
    if (i == 0) {
      s = decoder_.start.repeat({images_, 1});
    } else {
      at::Tensor next = at::empty({s.size(0), layer.combine_s.size(1)}, at::kFloat);
      rows_of(s, layer.combine_s, of_cell_).times(layer.combine_s, data_of(next), false);
      s = next;
    }
    rows_of(state.z, layer.combine_z, of_cell_).times(layer.combine_z, data_of(s), true);
  }
}

void NvaePass::reverse(const std::vector<at::Tensor>& grads, std::int64_t row, const at::Tensor& out) {
  at::Tensor g;
  std::int64_t end = out.size(1);
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const FoldedLayer& layer = decoder_.layers[i];
    LayerState& state = layers_[i];
    at::Tensor gz = grads[i].defined() ? to_pixels(grads[i].narrow(0, row, images_)).clone(at::MemoryFormat::Contiguous)
                                       : at::zeros_like(state.z);
    if (g.defined()) {
      rows_of(g, layer.combine_z, of_cell_).times(layer.combine_z, data_of(gz), true, true);
      if (i > 0) {
        at::Tensor below = at::empty({g.size(0), layer.combine_s.size(0)}, at::kFloat);
        rows_of(g, layer.combine_s, of_cell_).times(layer.combine_s, data_of(below), false, true);
        g = below;
      }
    }
    end -= layer.shape.size();
    const at::Tensor gu = i == 0 ? kNvaeTopSigma * gz : gz * state.sigma;
    out.narrow(1, end, layer.shape.size()).view({images_, layer.shape.channels, -1}).copy_(from_pixels(gu, images_));
    if (i == 0) return;
    const at::Tensor sampled = sample_reverse(layer, state, gz);
    g = g.defined() ? g.add_(sampled) : sampled;
    for (std::size_t c = layer.cells.size(); c-- > 0;) cell_reverse(layer.cells[c], state.cells[c], g);
  }
}

std::shared_ptr<const FrozenPath> freeze_nvae(const Nvae& net, const FoldForm& form, std::int64_t images) {
  const auto decoder = std::make_shared<const FoldedDecoder>(fold_decoder(net, form));
  const LatentShape& finest = net.groups().back();
  if (images == 0) {
    const std::int64_t pixels = std::clamp(kStateValues / decoder->layers.back().channels, kMinPixels, kMaxPixels);
    images = std::max<std::int64_t>(1, pixels / (finest.height * finest.width));
  }
  return std::make_shared<const FrozenPath>(
      net.groups(), images, [decoder](std::int64_t count) { return std::make_unique<NvaePass>(*decoder, count); });
}

}  // namespace hebm::vae
