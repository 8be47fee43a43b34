// Discretised mixture of M logistics over the three colours of a pixel (PixelCNN++), as NVAE has
// it: one choice of the component for all colours; green's mean is shifted by red's value, blue's
// by both. parameters [B, 10 M, H, W]: M logits, then for each colour M means, M log scales (at
// least -7), M coefficients before tanh (red's: green on red; green's: blue on red; blue's: blue on
// green). Values on [-1, 1], 2^bits of them. The authors' code gives the last two of 256 values the
// upper tail (their edge is at 0.99), so that its probabilities add up to more than 1; here the
// last one alone has it.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>

namespace hebm::vae {

// x [B, 3, H, W] on [-1, 1] -> [B, H, W] nats.
at::Tensor mixture_log_likelihood(
    const at::Tensor& parameters, const at::Tensor& x, std::int64_t mixtures, std::int64_t bits);
// The means averaged over components, then shifted colour by colour: [B, 3, H, W] on [-1, 1].
at::Tensor mixture_mean(const at::Tensor& parameters, std::int64_t mixtures);
// uniform [B, 4, H, W]: choice of the component, red, green, blue. [B, 3, H, W] on [-1, 1], not
// rounded to the 2^bits values.
at::Tensor mixture_sample(const at::Tensor& parameters, const at::Tensor& uniform, std::int64_t mixtures);

}  // namespace hebm::vae
