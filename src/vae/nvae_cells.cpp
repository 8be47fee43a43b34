#include "vae/nvae_cells.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_nearest2d.h>

namespace hebm::vae {
namespace {

at::Tensor skip_down(const ResCell& cell, const at::Tensor& x, const Pass& pass) {
  const at::Tensor h = at::silu(x);
  const at::Tensor lower = h.slice(2, 1);
  return at::cat({pass.conv(cell.skip[0], h), pass.conv(cell.skip[1], lower.slice(3, 1)),
                     pass.conv(cell.skip[2], h.slice(3, 1)), pass.conv(cell.skip[3], lower)},
      1);
}

}  // namespace

at::Tensor ResCell::operator()(const at::Tensor& x, const Pass& pass) const {
  at::Tensor h = x;
  for (std::size_t n = 0; n < convs.size(); ++n) h = pass.conv(convs[n], pass.norm(norms[n], h, true));
  return (down ? skip_down(*this, x, pass) : x) + kBranchWeight * squeeze_excite(h);
}

at::Tensor MbCell::operator()(const at::Tensor& x, const Pass& pass) const {
  const std::int64_t height = 2 * x.size(2), width = 2 * x.size(3);
  at::Tensor h = pass.norm(norm_in, up ? at::upsample_nearest2d(x, {height, width}) : x, false);
  h = pass.norm(norm_expanded, pass.conv(expand, h), true);
  h = pass.norm(norm_depthwise, pass.conv(depthwise, h), true);
  h = pass.norm(norm_out, pass.conv(project, h), false);
  return (up ? pass.conv(skip, at::upsample_bilinear2d(x, {height, width}, true)) : x) +
         kBranchWeight * squeeze_excite(h);
}

ResCell make_res_cell(NvaeLayers& layers, const std::string& name, std::int64_t channels, bool down, bool use_se) {
  ResCell cell;
  cell.down = down;
  const std::int64_t out = down ? 2 * channels : channels, stride = down ? 2 : 1;
  if (down) {
    const std::int64_t quarter = out / 4;
    for (std::size_t k = 0; k < 4; ++k) {
      cell.skip[k] = layers.conv(name + ".skip.conv_" + std::to_string(k + 1),
          {.in = channels, .out = k < 3 ? quarter : out - 3 * quarter, .stride = 2});
    }
  }
  for (std::size_t n = 0; n < 2; ++n) {
    const std::string op = name + "._ops." + std::to_string(n);
    const std::int64_t in = n == 0 ? channels : out;
    cell.norms[n] = layers.norm(op + ".bn_act", in);
    cell.convs[n] = layers.conv(op + ".conv_0", {.in = in, .out = out, .kernel = 3, .stride = n == 0 ? stride : 1});
  }
  if (use_se) cell.squeeze_excite = layers.squeeze_excite(name + ".se.se", out);
  return cell;
}

MbCell make_mb_cell(
    NvaeLayers& layers, const std::string& name, std::int64_t channels, bool up, std::int64_t expansion, bool use_se) {
  MbCell cell;
  cell.up = up;
  const std::int64_t out = up ? channels / 2 : channels, hidden = expansion * channels;
  if (up) cell.skip = layers.conv(name + ".skip.1", {.in = channels, .out = out, .bias = false});
  int module = up ? 1 : 0;  // the doubling of the side is a module of the authors' list
  const auto next = [&] { return name + "._ops.0.conv." + std::to_string(module++); };
  const auto plain = [](std::int64_t in, std::int64_t to, std::int64_t kernel = 1, std::int64_t groups = 1) {
    return ConvShape{.in = in, .out = to, .kernel = kernel, .groups = groups, .weight_norm = false, .bias = false};
  };
  cell.norm_in = layers.norm(next() + ".bn", channels);
  const std::string expanded = next(), depthwise = next();
  cell.expand = layers.conv(expanded + ".conv.0", plain(channels, hidden));
  cell.norm_expanded = layers.norm(expanded + ".conv.1", hidden);
  cell.depthwise = layers.conv(depthwise + ".conv.0", plain(hidden, hidden, 5, hidden));
  cell.norm_depthwise = layers.norm(depthwise + ".conv.1", hidden);
  cell.project = layers.conv(next(), plain(hidden, out));
  cell.norm_out = layers.norm(next() + ".bn", out);
  if (use_se) cell.squeeze_excite = layers.squeeze_excite(name + ".se.se", out);
  return cell;
}

}  // namespace hebm::vae
