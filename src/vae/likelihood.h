// p(x | z) of a pixel, x in [0, 1]: Bernoulli (a grey value as a probability, the usual bound),
// discretised logistic, and NVAE's Normal and discretised mixture of logistics
// (mixture_logistic.h).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>

namespace hebm::vae {

enum class LikelihoodKind { kBernoulli, kLogistic, kNormal, kMixture };
LikelihoodKind parse_likelihood(const std::string& name);  // the HVAE's: "bernoulli" | "logistic"

struct Likelihood {
  LikelihoodKind kind = LikelihoodKind::kBernoulli;
  std::int64_t image_channels = 1;
  std::int64_t mixtures = 10, bits = 8;  // of kMixture
  std::int64_t crop = 0;                 // pixels on each side that log_likelihood leaves out

  // The decoder's: C logits; 2 C means and log scales; 10 a mixture.
  std::int64_t channels() const;
  std::int64_t sample_channels() const;  // uniforms a pixel: one a colour, of kMixture one more for the choice
};

// parameters [B, channels(), H, W], x [B, C, H, W] in [0, 1] -> [B] nats. kNormal: a density of 2 x
// - 1.
at::Tensor log_likelihood(const Likelihood& likelihood, const at::Tensor& parameters, const at::Tensor& x);
// [B, C, H, W] in [0, 1].
at::Tensor mean_image(const Likelihood& likelihood, const at::Tensor& parameters);
// uniform [B, sample_channels(), H, W] in [0, 1).
at::Tensor sample_image(const Likelihood& likelihood, const at::Tensor& parameters, const at::Tensor& uniform);

// log of the mass of logistic(mean, exp(log_scale)) in a bin of half width `half_bin` around x,
// elementwise; the first and last bin of [-1, 1] reach to infinity. x, mean, log_scale of one
// shape, x in [-1, 1].
at::Tensor logistic_bin(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& log_scale, double half_bin);
// mean + scale logit(uniform): uniforms keep 1e-5 away from 0 and 1, as the authors' do.
at::Tensor logistic_quantile(const at::Tensor& mean, const at::Tensor& log_scale, const at::Tensor& uniform);

// tanh(x / bound) bound
at::Tensor soft_clamp(const at::Tensor& x, double bound);

}  // namespace hebm::vae
