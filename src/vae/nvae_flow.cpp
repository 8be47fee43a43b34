#include "vae/nvae_flow.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/zeros.h>
#include "base/error.h"

namespace hebm::vae {
namespace {

constexpr std::int64_t kExpansion = 6;
constexpr double kInitialMean = 0.1;  // factor of the last convolution's norm: the flow starts near the identity

}  // namespace

at::Tensor FlowCell::operator()(const at::Tensor& z, const Pass& pass) const {
  const at::Tensor h = at::elu(pass.conv(depthwise, at::elu(pass.conv(first, z))));
  return z - pass.conv(mean, at::elu(h));  // ELU twice, as the authors have it
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

namespace {

FlowCell make_cell(NvaeLayers& layers, const std::string& name, std::int64_t channels, bool reversed) {
  const std::int64_t hidden = kExpansion * channels;
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

FlowPair make_flow_pair(NvaeLayers& layers, const std::string& name, std::int64_t channels) {
  return {{make_cell(layers, name + ".cell1", channels, false), make_cell(layers, name + ".cell2", channels, true)}};
}

}  // namespace hebm::vae
