// NVAE's operations once more, for one image in float64 by plain loops: what its cells are held
// against.
#pragma once
#include <ATen/core/Tensor.h>
#include <cmath>
#include <cstdint>
#include <vector>
#include "../nets/support.h"
#include "vae/nvae_layers.h"

namespace hebm::vae::plain {

struct Image {
  std::int64_t c = 0, h = 0, w = 0;
  std::vector<double> v;
  Image(std::int64_t channels, std::int64_t height, std::int64_t width)
      : c(channels), h(height), w(width), v(static_cast<std::size_t>(channels * height * width)) {}
  explicit Image(const at::Tensor& t) : c(t.size(0)), h(t.size(1)), w(t.size(2)), v(test::values_of(t)) {}
  double& at(std::int64_t k, std::int64_t y, std::int64_t x) {
    return v[static_cast<std::size_t>((k * h + y) * w + x)];
  }
  double at(std::int64_t k, std::int64_t y, std::int64_t x) const {
    return v[static_cast<std::size_t>((k * h + y) * w + x)];
  }
  double padded(std::int64_t k, std::int64_t y, std::int64_t x) const {
    return y < 0 || x < 0 || y >= h || x >= w ? 0.0 : at(k, y, x);
  }
};

template <class F> Image map(const Image& x, F f) {
  Image out = x;
  for (auto& value : out.v) value = f(value);
  return out;
}
inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
inline Image silu(const Image& x) {
  return map(x, [](double v) { return v * sigmoid(v); });
}
inline Image elu(const Image& x) {
  return map(x, [](double v) { return v > 0 ? v : std::exp(v) - 1.0; });
}

inline Image add(const Image& a, double factor, const Image& b) {
  Image out = a;
  for (std::size_t i = 0; i < out.v.size(); ++i) out.v[i] += factor * b.v[i];
  return out;
}

// First row and column (row0, column0) of x are where the convolution starts.
inline Image conv(const NvaeConv& c, const Image& x, std::int64_t row0 = 0, std::int64_t column0 = 0) {
  const auto weight = test::values_of(c.weight),
             mask = c.mask.defined() ? test::values_of(c.mask) : std::vector<double>(weight.size(), 1.0);
  const auto bias =
      c.bias.defined() ? test::values_of(c.bias) : std::vector<double>(static_cast<std::size_t>(c.weight.size(0)), 0.0);
  const std::int64_t out_channels = c.weight.size(0), fan = c.weight.size(1), k = c.weight.size(2);
  const std::int64_t height = (x.h - row0 + 2 * (k / 2) - k) / c.stride + 1,
                     width = (x.w - column0 + 2 * (k / 2) - k) / c.stride + 1;
  Image out(out_channels, height, width);
  for (std::int64_t o = 0; o < out_channels; ++o) {
    std::vector<double> kernel;
    double square = 0;
    for (std::int64_t e = o * fan * k * k; e < (o + 1) * fan * k * k; ++e) {
      kernel.push_back(weight[static_cast<std::size_t>(e)] * mask[static_cast<std::size_t>(e)]);
      square += kernel.back() * kernel.back();
    }
    double scale = 1.0;
    if (c.log_weight_norm.defined()) {
      scale = std::exp(test::values_of(c.log_weight_norm)[static_cast<std::size_t>(o)]) / (std::sqrt(square) + 1e-5);
    }
    const std::int64_t first = c.groups == 1 ? 0 : o / (out_channels / c.groups) * fan;
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t column = 0; column < width; ++column) {
        double sum = 0;
        for (std::int64_t j = 0; j < fan; ++j) {
          for (std::int64_t dy = 0; dy < k; ++dy) {
            for (std::int64_t dx = 0; dx < k; ++dx) {
              sum += kernel[static_cast<std::size_t>((j * k + dy) * k + dx)] *
                     x.padded(first + j, row0 + y * c.stride + dy - k / 2, column0 + column * c.stride + dx - k / 2);
            }
          }
        }
        out.at(o, y, column) = scale * sum + bias[static_cast<std::size_t>(o)];
      }
    }
  }
  return out;
}

inline Image norm(const BatchNorm& n, const Image& x) {
  const auto weight = test::values_of(n.gamma), bias = test::values_of(n.beta), mean = test::values_of(n.running_mean),
             variance = test::values_of(n.running_var);
  Image out = x;
  for (std::int64_t c = 0; c < x.c; ++c) {
    const auto i = static_cast<std::size_t>(c);
    for (std::int64_t e = 0; e < x.h * x.w; ++e) {
      double& value = out.v[static_cast<std::size_t>(c * x.h * x.w + e)];
      value = (value - mean[i]) / std::sqrt(variance[i] + 1e-5) * weight[i] + bias[i];
    }
  }
  return out;
}

inline Image nearest_up(const Image& x) {
  Image out(x.c, 2 * x.h, 2 * x.w);
  for (std::int64_t c = 0; c < x.c; ++c) {
    for (std::int64_t y = 0; y < out.h; ++y) {
      for (std::int64_t column = 0; column < out.w; ++column) out.at(c, y, column) = x.at(c, y / 2, column / 2);
    }
  }
  return out;
}

// Corners aligned: row y of 2h looks at y (h - 1) / (2h - 1).
inline Image bilinear_up(const Image& x) {
  Image out(x.c, 2 * x.h, 2 * x.w);
  for (std::int64_t c = 0; c < x.c; ++c) {
    for (std::int64_t y = 0; y < out.h; ++y) {
      const double row = static_cast<double>(y * (x.h - 1)) / static_cast<double>(out.h - 1);
      const auto y0 = static_cast<std::int64_t>(row), y1 = std::min(y0 + 1, x.h - 1);
      const double fy = row - static_cast<double>(y0);
      for (std::int64_t column = 0; column < out.w; ++column) {
        const double place = static_cast<double>(column * (x.w - 1)) / static_cast<double>(out.w - 1);
        const auto x0 = static_cast<std::int64_t>(place), x1 = std::min(x0 + 1, x.w - 1);
        const double fx = place - static_cast<double>(x0);
        out.at(c, y, column) = (1 - fy) * ((1 - fx) * x.at(c, y0, x0) + fx * x.at(c, y0, x1)) +
                               fy * ((1 - fx) * x.at(c, y1, x0) + fx * x.at(c, y1, x1));
      }
    }
  }
  return out;
}

inline std::vector<double> linear(const nets::Linear& l, const std::vector<double>& x) {
  const auto weight = test::values_of(l.weight);
  auto out = test::values_of(l.bias);
  for (std::size_t o = 0; o < out.size(); ++o) {
    for (std::size_t i = 0; i < x.size(); ++i) out[o] += weight[o * x.size() + i] * x[i];
  }
  return out;
}

inline Image squeeze_excite(const SqueezeExcite& se, const Image& x) {
  if (!se.squeeze.weight.defined()) return x;
  const auto pixels = static_cast<std::size_t>(x.h * x.w);
  std::vector<double> mean(static_cast<std::size_t>(x.c), 0.0);
  for (std::size_t e = 0; e < x.v.size(); ++e) mean[e / pixels] += x.v[e] / static_cast<double>(pixels);
  auto hidden = linear(se.squeeze, mean);
  for (auto& h : hidden) h = std::max(h, 0.0);
  const auto factor = linear(se.excite, hidden);
  Image out = x;
  for (std::size_t e = 0; e < out.v.size(); ++e) out.v[e] *= sigmoid(factor[e / pixels]);
  return out;
}

inline Image stack(const std::vector<Image>& parts) {
  Image out(0, parts[0].h, parts[0].w);
  for (const auto& part : parts) {
    out.c += part.c;
    out.v.insert(out.v.end(), part.v.begin(), part.v.end());
  }
  return out;
}

}  // namespace hebm::vae::plain
