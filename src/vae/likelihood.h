// p(x | z) per pixel: Bernoulli (x in [0, 1] as a probability, the usual grey-scale bound) or a discretised logistic.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace hebm::vae {

enum class Likelihood { kBernoulli, kLogistic };
Likelihood parse_likelihood(const std::string& name);  // "bernoulli" | "logistic"
// Decoder channels for C image channels: C (logits) or 2 C (means, log scales).
std::int64_t likelihood_channels(Likelihood kind, std::int64_t image_channels);

// parameters [B, likelihood_channels, H, W], x [B, C, H, W] in [0, 1] -> [B] nats.
at::Tensor log_likelihood(Likelihood kind, const at::Tensor& parameters, const at::Tensor& x);
at::Tensor mean_image(Likelihood kind, const at::Tensor& parameters);
// uniform [B, C, H, W] in [0, 1).
at::Tensor sample_image(Likelihood kind, const at::Tensor& parameters, const at::Tensor& uniform);

}  // namespace hebm::vae
