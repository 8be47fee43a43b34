#include "nets/layers.h"
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <cmath>

namespace hebm::nets {

at::Tensor Conv::operator()(const at::Tensor& x) const {
  return at::conv2d(x, weight, bias, {stride, stride}, {padding, padding});
}

at::Tensor Linear::operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }

Conv make_conv(Parameters& params, const std::string& name, std::int64_t in, std::int64_t out, std::int64_t kernel,
    std::int64_t stride, double scale) {
  Conv conv;
  conv.weight = params.add(name + ".weight", {out, in, kernel, kernel}, Init::kUniformFanIn, scale);
  conv.bias = params.add(name + ".bias", {out}, Init::kZero);
  conv.stride = stride;
  conv.padding = (kernel - 1) / 2;
  return conv;
}

Linear make_linear(Parameters& params, const std::string& name, std::int64_t in, std::int64_t out, double scale) {
  Linear linear;
  linear.weight = params.add(name + ".weight", {out, in}, Init::kUniformFanIn, scale);
  linear.bias = params.add(name + ".bias", {out}, Init::kZero);
  return linear;
}

at::Tensor sinusoidal_embedding(std::int64_t num_steps, std::int64_t dim) {
  const std::int64_t half = dim / 2;
  at::Tensor table = at::empty({num_steps, 2 * half}, at::kFloat);
  float* out = table.data_ptr<float>();
  for (std::int64_t t = 0; t < num_steps; ++t) {
    for (std::int64_t k = 0; k < half; ++k) {
      const double angle =
          static_cast<double>(t) * std::pow(10000.0, -static_cast<double>(k) / static_cast<double>(half));
      out[t * 2 * half + k] = static_cast<float>(std::cos(angle));
      out[t * 2 * half + half + k] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

}  // namespace hebm::nets
