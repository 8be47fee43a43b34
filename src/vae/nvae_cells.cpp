#include "vae/nvae_cells.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <ATen/ops/zeros.h>
#include "base/error.h"

namespace hebm::vae {
namespace {

constexpr std::int64_t kFlowExpansion = 6;
constexpr double kInitialMean = 0.1;  // factor of the last convolution's norm: the flow starts near the identity

at::Tensor skip_down(const ResCell& cell, const at::Tensor& x, const Pass& pass) {
  const at::Tensor h = at::silu(x);
  const at::Tensor lower = h.slice(2, 1);
  return at::cat({pass.conv(cell.skip[0], h), pass.conv(cell.skip[1], lower.slice(3, 1)),
                     pass.conv(cell.skip[2], h.slice(3, 1)), pass.conv(cell.skip[3], lower)},
      1);
}

FlowCell make_cell(NvaeLayers& layers, const std::string& name, std::int64_t channels, bool reversed) {
  const std::int64_t hidden = kFlowExpansion * channels;
  const auto options = at::TensorOptions(layers.params().dtype()).device(layers.params().device());
  const auto mask = [&](std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t groups,
                        bool zero_diagonal) {
    return flow_mask(in, out, kernel, groups, zero_diagonal, reversed).to(options);
  };
  FlowCell cell;
  cell.first = layers.conv(name + ".conv.convz.0", {.in = channels, .out = hidden, .kernel = 3, .bias = false},
      mask(channels, hidden, 3, 1, true));
  cell.depthwise =
      layers.conv(name + ".conv.convz.2", {.in = hidden, .out = hidden, .kernel = 5, .groups = hidden, .bias = false},
          mask(hidden, hidden, 5, hidden, false));
  cell.mean = layers.conv(
      name + ".mu.conv_0", {.in = hidden, .out = channels}, mask(hidden, channels, 1, 1, false), kInitialMean);
  return cell;
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

at::Tensor FlowCell::operator()(const at::Tensor& z, const Pass& pass) const {
  const at::Tensor h = at::elu(pass.conv(depthwise, at::elu(pass.conv(first, z))));
  return z - pass.conv(mean, at::elu(h));  // ELU twice, as the authors have it
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

at::Tensor flow_mask(
    std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t groups, bool zero_diagonal, bool reversed) {
  check((groups == 1 && (out % in == 0 || in % out == 0)) || (groups == in && in == out), ExitCode::kRuntime,
      "flow mask: {} -> {} channels in {} groups", in, out, groups);
  const std::int64_t fan = in / groups, m = kernel / 2;
  at::Tensor mask = at::zeros({out, fan, kernel, kernel}, at::kFloat);
  mask.narrow(2, 0, m).fill_(1.0);
  mask.select(2, m).narrow(2, 0, m).fill_(1.0);
  float* centre = mask.mutable_data_ptr<float>() + m * kernel + m;  // of output 0 and input 0
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t j = 0; j < fan; ++j, centre += kernel * kernel) {
      // Channels in units of the narrower side: which latent channel they belong to.
      const std::int64_t of_out = out >= in ? o / (out / in) : o, of_in = out >= in ? j : j / (in / out);
      const bool seen = groups == 1 ? (zero_diagonal ? of_in < of_out : of_in <= of_out) : !zero_diagonal;
      *centre = seen ? 1.0F : 0.0F;
    }
  }
  return reversed ? at::flip(mask, {2, 3}).contiguous() : mask;
}

FlowPair make_flow_pair(NvaeLayers& layers, const std::string& name, std::int64_t channels) {
  return {{make_cell(layers, name + ".cell1", channels, false), make_cell(layers, name + ".cell2", channels, true)}};
}

}  // namespace hebm::vae
