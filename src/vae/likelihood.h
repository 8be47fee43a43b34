// p(x | z) of a pixel, x in [0, 1]: Bernoulli (a grey value as a probability, the usual bound),
// discretised logistic, and NVAE's Normal and discretised mixture of logistics.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>

namespace hebm::vae {

enum class LikelihoodKind { kBernoulli, kLogistic, kNormal, kMixture };

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

// Discretised mixture of M logistics over the three colours of a pixel (PixelCNN++), as NVAE has
// it: one choice of the component for all colours; green's mean is shifted by red's value, blue's
// by both. Values on [-1, 1], 2^bits of them.

// parameters [B, 10 M, H, W]: M logits, then for each colour M means, M log scales (at least -7), M
// coefficients before tanh (red's: green on red; green's: blue on red; blue's: blue on green). The
// authors' code gives the last two of 256 values the upper tail (their edge is at 0.99), so that
// its probabilities add up to more than 1; here the last one alone has it.

// x [B, 3, H, W] on [-1, 1] -> [B, H, W] nats.
at::Tensor mixture_log_likelihood(
    const at::Tensor& parameters, const at::Tensor& x, std::int64_t mixtures, std::int64_t bits);
// The means averaged over components, then shifted colour by colour: [B, 3, H, W] on [-1, 1].
at::Tensor mixture_mean(const at::Tensor& parameters, std::int64_t mixtures);
// uniform [B, 4, H, W]: choice of the component, red, green, blue. [B, 3, H, W] on [-1, 1], not
// rounded to the 2^bits values.
at::Tensor mixture_sample(const at::Tensor& parameters, const at::Tensor& uniform, std::int64_t mixtures);

// tanh(x / bound) bound
at::Tensor soft_clamp(const at::Tensor& x, double bound);

}  // namespace hebm::vae
