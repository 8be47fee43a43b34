#include "vae/hvae_frozen.h"
#include <ATen/TensorOperators.h>
#include <algorithm>
#include "nets/gemm.h"
#include "nets/pointwise.h"

namespace hebm::vae {
namespace {

// Of a pass: enough rows for the products, buffers that stay in a core's cache.
constexpr std::int64_t kImages = 32;

using nets::MapShape;

const float* data_of(const at::Tensor& t) { return t.const_data_ptr<float>(); }

// out [rows, N] (+)= x [rows, M] matrix [M, N]
void apply(const float* x, const at::Tensor& matrix, float* out, std::int64_t rows, bool add) {
  nets::Rows(x, rows, matrix.size(0)).times(matrix, out, add);
}

void silu(const std::vector<float>& in, const at::Tensor& bias, std::vector<float>& out, std::vector<float>& slope) {
  const auto count = static_cast<std::int64_t>(in.size());
  const std::int64_t channels = bias.defined() ? bias.numel() : count;
  nets::silu_rows(
      {count / channels, channels, in.data(), bias.defined() ? data_of(bias) : nullptr, out.data(), slope.data()});
}

// Each pixel of [m, h, w, C] to the four of [m, 2 h, 2 w, C] that it becomes.
struct Doubling {
  std::int64_t images, height, width, channels;  // before
  template <class Visit> void each(const Visit& visit) const {
    for (std::int64_t y = 0; y < images * height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        const std::int64_t low = (y * width + x) * channels, row = 2 * width * channels;
        const std::int64_t high = 2 * y * row + 2 * x * channels;
        for (const std::int64_t at : {high, high + channels, high + row, high + row + channels}) visit(low, at);
      }
    }
  }
};

}  // namespace

std::shared_ptr<const FrozenPath> Hvae::frozen_path(at::ScalarType products) const {
  const auto net = std::make_shared<FrozenHvae>();
  net->channels = options_.width;
  net->bound = kHvaeLogSigmaBound;
  const auto values = [](const at::Tensor& t) { return t.detach().clone(); };
  const auto turned = [](const at::Tensor& m) { return m.t().clone(at::MemoryFormat::Contiguous); };
  const auto matrix = [&](const nets::Conv& conv) { return turned(conv.weight.detach().flatten(1)); };  // 1x1
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    FrozenHvaeLayer out;
    out.shape = groups()[i];
    const MapShape map{options_.width, out.shape.height, out.shape.width};
    if (i > 0) {
      const MapShape above{options_.width, groups()[i - 1].height, groups()[i - 1].width};
      out.first = {layer.block.first.weight, above, {.doubles = layer.doubles}, products};
      out.second = {layer.block.second.weight, map, {}, products};
      out.first_bias = values(layer.block.first.bias);
      out.second_bias = values(layer.block.second.bias);
      out.head = matrix(layer.prior_head);
      out.head_turned = turned(out.head);
      out.head_bias = values(layer.prior_head.bias);
    }
    out.from_z = matrix(layer.from_z);
    out.from_z_turned = turned(out.from_z);
    out.added = values(layer.from_z.bias);
    if (i == 0) out.added = (start_.detach()[0].flatten(1).t() + out.added).contiguous();
    net->layers.push_back(out);
  }
  return std::make_shared<const FrozenPath>(
      groups(), kImages, [net](std::int64_t images) { return std::make_unique<HvaePass>(*net, images); });
}

HvaePass::HvaePass(const FrozenHvae& net, std::int64_t images) : FrozenPass(images), net_(net) {
  layers_.resize(net.layers.size());
  const auto size = [&](Floats& floats, std::int64_t of_image) {
    floats.resize(static_cast<std::size_t>(images_ * of_image));
  };
  std::int64_t largest = 0, latents = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const FrozenHvaeLayer& layer = net.layers[i];
    LayerState& state = layers_[i];
    const std::int64_t pixels = layer.shape.height * layer.shape.width, state_size = pixels * net.channels;
    size(state.u, layer.shape.size());
    size(state.behind, state_size);
    largest = std::max(largest, state_size);
    latents = std::max(latents, layer.shape.size());
    if (i == 0) continue;
    for (Floats* floats : {&state.in, &state.in_slope}) size(*floats, layer.first.in().size());
    for (Floats* floats : {&state.mid, &state.mid_slope, &state.s, &state.out, &state.out_slope})
      size(*floats, state_size);
    for (Floats* floats : {&state.sigma, &state.slope}) size(*floats, layer.shape.size());
    size(state.head, 2 * layer.shape.size());
  }
  size(gradient_, largest);
  size(of_z_, latents);
}

// s = x + conv(SiLU(conv(SiLU x))), x doubled where the layer doubles.
void HvaePass::enter(const FrozenHvaeLayer& layer, LayerState& state, const Floats& x) {
  silu(x, {}, state.in, state.in_slope);
  layer.first.forward(state.in.data(), state.mid.data(), images_);
  silu(state.mid, layer.first_bias, state.mid, state.mid_slope);
  const MapShape &low = layer.first.in(), &map = layer.second.in();
  const std::int64_t channels = net_.channels;
  const float* bias = data_of(layer.second_bias);
  const auto place = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t c = 0; c < channels; ++c)
      state.s[static_cast<std::size_t>(to + c)] = x[static_cast<std::size_t>(from + c)] + bias[c];
  };
  if (low.height != map.height) {
    Doubling{images_, low.height, low.width, channels}.each(place);
  } else {
    for (std::int64_t p = 0; p < images_ * map.pixels(); ++p) place(p * channels, p * channels);
  }
  layer.second.forward(state.mid.data(), state.s.data(), images_, true);
}

// z = mu + sigma u (Eq. 15).
void HvaePass::sample(const FrozenHvaeLayer& layer, LayerState& state, float* z) {
  const std::int64_t rows = images_ * layer.shape.height * layer.shape.width;
  silu(state.s, {}, state.out, state.out_slope);
  apply(state.out.data(), layer.head, state.head.data(), rows, false);
  nets::normal_rows({rows, layer.shape.channels, static_cast<float>(net_.bound), state.head.data(),
      data_of(layer.head_bias), state.u.data(), z, state.sigma.data(), state.slope.data()});
}

void HvaePass::absorb(std::size_t i, const float* z) {
  const FrozenHvaeLayer& layer = net_.layers[i];
  LayerState& state = layers_[i];
  const auto size = static_cast<std::int64_t>(state.behind.size()), added = layer.added.numel();
  const float* constant = data_of(layer.added);
  for (std::int64_t first = 0; first < size; first += added) {
    float* to = state.behind.data() + first;
    for (std::int64_t c = 0; c < added; ++c) to[c] = constant[c];
    if (i > 0) nets::add_to(to, state.s.data() + first, added);
  }
  apply(z, layer.from_z, state.behind.data(), size / net_.channels, true);
}

void HvaePass::forward(const at::Tensor& u, const std::vector<at::Tensor>& z, std::int64_t row) {
  const float* from = data_of(u);
  const std::int64_t dim = u.size(1);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const FrozenHvaeLayer& layer = net_.layers[i];
    LayerState& state = layers_[i];
    const std::int64_t size = layer.shape.size(), pixels = layer.shape.height * layer.shape.width;
    for (std::int64_t b = 0; b < images_; ++b)
      nets::to_channels_last(from + b * dim, state.u.data() + b * size, 1, layer.shape.channels, pixels);
    from += size;
    float* const to = z[i].mutable_data_ptr<float>() + row * size;
    if (i == 0) {
      std::copy(state.u.begin(), state.u.end(), to);
    } else {
      enter(layer, state, layers_[i - 1].behind);
      sample(layer, state, to);
    }
    if (i + 1 < layers_.size()) absorb(i, to);
  }
}

void HvaePass::enter_reverse(const FrozenHvaeLayer& layer, LayerState& state, Floats& g) {
  const MapShape &low = layer.first.in(), &map = layer.second.in();
  layer.second.reverse(g.data(), state.mid.data(), images_);
  nets::multiply_by(state.mid.data(), state.mid_slope.data(), images_ * map.size());
  layer.first.reverse(state.mid.data(), state.in.data(), images_);
  nets::multiply_by(state.in.data(), state.in_slope.data(), images_ * low.size());
  if (low.height == map.height) return nets::add_to(g.data(), state.in.data(), images_ * low.size());
  Doubling{images_, low.height, low.width, net_.channels}.each(
      [&](std::int64_t to, std::int64_t at) { nets::add_to(state.in.data() + to, g.data() + at, net_.channels); });
  std::copy(state.in.begin(), state.in.end(), g.begin());
}

void HvaePass::reverse(const std::vector<at::Tensor>& grads, std::int64_t row, const at::Tensor& out) {
  const std::int64_t dim = out.size(1);
  float* to = out.mutable_data_ptr<float>() + dim;
  Floats &g = gradient_, &gz = of_z_;
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const FrozenHvaeLayer& layer = net_.layers[i];
    LayerState& state = layers_[i];
    const std::int64_t c = layer.shape.channels, pixels = layer.shape.height * layer.shape.width;
    const std::int64_t rows = images_ * pixels, size = layer.shape.size();
    const bool is_last = i + 1 == layers_.size();
    if (grads[i].defined()) {
      const at::Tensor given = grads[i].narrow(0, row, images_).permute({0, 2, 3, 1}).contiguous();
      std::copy_n(data_of(given), rows * c, gz.data());
    } else {
      std::fill_n(gz.data(), rows * c, 0.0f);
    }
    if (!is_last) apply(g.data(), layer.from_z_turned, gz.data(), rows, true);
    if (i > 0) {
      float* head = state.head.data();
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t k = 0; k < c; ++k) {
          head[2 * r * c + k] = gz[static_cast<std::size_t>(r * c + k)];
          head[(2 * r + 1) * c + k] =
              gz[static_cast<std::size_t>(r * c + k)] * state.slope[static_cast<std::size_t>(r * c + k)];
        }
      }
      nets::multiply_by(gz.data(), state.sigma.data(), rows * c);
      apply(head, layer.head_turned, state.out.data(), rows, false);
      nets::multiply_by(state.out.data(), state.out_slope.data(), rows * net_.channels);
      if (is_last) {
        std::copy(state.out.begin(), state.out.end(), g.begin());
      } else {
        nets::add_to(g.data(), state.out.data(), rows * net_.channels);
      }
      enter_reverse(layer, state, g);
    }
    to -= size;
    for (std::int64_t b = 0; b < images_; ++b)
      nets::from_channels_last(gz.data() + b * size, to + b * dim, 1, c, pixels);
  }
}

}  // namespace hebm::vae
