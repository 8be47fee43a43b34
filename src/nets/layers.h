// Convolution and linear layers over Parameters; plain values, no hidden state.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include "nets/parameters.h"

namespace hebm::nets {

struct Conv {
  at::Tensor weight;  // [out, in, k, k]
  at::Tensor bias;    // [out]
  std::int64_t stride = 1, padding = 0;
  at::Tensor operator()(const at::Tensor& x) const;  // [B, in, H, W] -> [B, out, H', W']
};

struct Linear {
  at::Tensor weight;                                 // [out, in]
  at::Tensor bias;                                   // [out] or undefined
  at::Tensor operator()(const at::Tensor& x) const;  // [B, in] -> [B, out]
};

// kernel k with padding (k-1)/2 unless given; weights U(+-scale/sqrt(fan_in)), bias zero.
Conv make_conv(Parameters& params, const std::string& name, std::int64_t in, std::int64_t out, std::int64_t kernel,
    std::int64_t stride = 1, double scale = 1.0);
Linear make_linear(Parameters& params, const std::string& name, std::int64_t in, std::int64_t out, double scale = 1.0);

// [cos, sin](t * 10000^(-k/half)), k = 0 .. half-1: the authors' sinusoidal embedding of t; float32
// [T, 2 half].
at::Tensor sinusoidal_embedding(std::int64_t num_steps, std::int64_t dim);

}  // namespace hebm::nets
