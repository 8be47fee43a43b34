#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include "vae/nvae_frozen_pass.h"

namespace hebm::vae {
namespace {

constexpr std::int64_t kLeastSlice = 128;

at::Tensor to_double(const at::Tensor& t) { return t.detach().to(at::kDouble); }
// A copy, whatever t is.
at::Tensor to_float(const at::Tensor& t) { return t.to(at::kFloat).clone(at::MemoryFormat::Contiguous); }

// [out, in] of a 1x1 convolution.
at::Tensor matrix_of(const NvaeConv& conv) { return to_double(conv.effective_weight()).flatten(1); }

struct Affine {
  at::Tensor scale, shift;  // [C], float64
};
Affine affine_of(const BatchNorm& norm) {
  const at::Tensor scale = to_double(norm.gamma) / (to_double(norm.running_var) + norm.eps).sqrt();
  return {scale, to_double(norm.beta) - to_double(norm.running_mean) * scale};
}

// Fits a core's cache with the pixels of a pass, and is large enough for matrix products.
std::int64_t usual_slice(std::int64_t channels) {
  return std::max<std::int64_t>(kLeastSlice, (2 * channels + 31) / 32 * 32);
}

// Takes what s lacks before the cell and leaves what it lacks behind it.
FoldedCell fold_cell(const MbCell& cell, at::Tensor& missing, const FoldForm& form) {
  FoldedCell out;
  const auto for_products = [&](const at::Tensor& t) { return to_float(t).to(form.products); };
  out.up = cell.up;
  const Affine in = affine_of(cell.norm_in), expanded = affine_of(cell.norm_expanded);
  const Affine middle = affine_of(cell.norm_depthwise), last = affine_of(cell.norm_out);
  const at::Tensor plain = matrix_of(cell.expand);  // [hidden, C_in]
  const at::Tensor expand = expanded.scale.unsqueeze(1) * plain * in.scale;
  const at::Tensor expand_bias =
      expanded.scale * at::matmul(plain, in.shift) + expanded.shift + at::matmul(expand, missing);
  const at::Tensor taps = to_double(cell.depthwise.effective_weight()) * middle.scale.reshape({-1, 1, 1, 1});
  const bool excites = cell.squeeze_excite.squeeze.weight.defined();
  const double weight = excites ? 1.0 : kBranchWeight;
  const at::Tensor project = weight * last.scale.unsqueeze(1) * matrix_of(cell.project);  // [C, hidden]
  const std::int64_t hidden = expand.size(0), slice = form.slice > 0 ? form.slice : usual_slice(expand.size(1));
  for (std::int64_t first = 0; first < hidden; first += slice) {
    const std::int64_t count = std::min(slice, hidden - first);
    out.slices.push_back({for_products(expand.narrow(0, first, count).t()),
        nets::pack_depthwise(
            taps.narrow(0, first, count), middle.shift.narrow(0, first, count), expand_bias.narrow(0, first, count)),
        for_products(project.narrow(1, first, count).t())});
  }
  if (cell.up) {
    const at::Tensor skip = matrix_of(cell.skip);
    out.skip = for_products(skip.t());
    missing = at::matmul(skip, missing);
  }
  if (!excites) {
    missing = missing + kBranchWeight * last.shift;
    return out;
  }
  out.bias = to_float(last.shift);
  out.squeeze = to_float(cell.squeeze_excite.squeeze.weight.detach().t());
  out.squeeze_bias = to_float(cell.squeeze_excite.squeeze.bias.detach());
  out.excite = to_float(cell.squeeze_excite.excite.weight.detach().t());
  out.excite_bias = to_float(cell.squeeze_excite.excite.bias.detach());
  return out;
}

}  // namespace

FoldedDecoder fold_decoder(const Nvae& net, const FoldForm& form) {
  const c10::NoGradGuard no_grad;
  FoldedDecoder out;
  at::Tensor missing;  // [C], float64
  const std::size_t count = net.parts().layers.size();
  for (std::size_t i = 0; i < count; ++i) {
    const NvaeLayer& layer = net.parts().layers[i];
    FoldedLayer folded;
    folded.shape = net.groups()[i];
    if (layer.up) folded.cells.push_back(fold_cell(*layer.up, missing, form));
    for (const auto& cell : layer.cells) folded.cells.push_back(fold_cell(cell, missing, form));
    if (i > 0) {
      folded.missing = to_float(missing);
      folded.sampler = to_float(matrix_of(layer.prior).t());
      folded.sampler_bias = to_float(to_double(layer.prior.bias));
    }
    folded.channels = layer.combine.weight.size(0);
    if (i + 1 < count) {
      const at::Tensor combine = matrix_of(layer.combine);  // [C, C + n]
      const at::Tensor of_s = combine.narrow(1, 0, folded.channels);
      folded.combine_s = to_float(of_s.t()).to(form.products);
      folded.combine_z = to_float(combine.narrow(1, folded.channels, folded.shape.channels).t());
      const at::Tensor bias = to_double(layer.combine.bias);
      missing = i == 0 ? bias : at::matmul(of_s, missing) + bias;
      if (i == 0) out.start = to_float(at::matmul(to_double(net.parts().start).flatten(1).t(), of_s.t()));
    }
    out.layers.push_back(std::move(folded));
  }
  return out;
}

}  // namespace hebm::vae
