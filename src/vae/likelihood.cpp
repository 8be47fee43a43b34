#include "vae/likelihood.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/lt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/special_ndtri.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <cmath>
#include "base/error.h"

namespace hebm::vae {
namespace {

constexpr double kMinLogScale = -7.0;
constexpr double kHalfBin = 1.0 / 255.0;  // on [-1, 1], 256 values
constexpr double kHalfLog2Pi = 0.91893853320467274178;
constexpr double kSmallestUniform = 1e-5;

// NVAE's soft clamps, of the latents too: mean in (-5, 5), sigma = exp(5 tanh(raw / 5)) + 0.01.
at::Tensor normal_mean(const at::Tensor& raw) { return soft_clamp(raw, 5.0); }
at::Tensor normal_sigma(const at::Tensor& raw) { return soft_clamp(raw, 5.0).exp() + 0.01; }

at::Tensor to_unit(const at::Tensor& value) { return ((value + 1.0) * 0.5).clamp(0.0, 1.0); }  // from [-1, 1]

// [B, C or nothing, H, W] of nats -> [B].
at::Tensor sum_pixels(const Likelihood& likelihood, const at::Tensor& nats) {
  const std::int64_t c = likelihood.crop, d = nats.dim();
  return nats.narrow(d - 2, c, nats.size(d - 2) - 2 * c).narrow(d - 1, c, nats.size(d - 1) - 2 * c).flatten(1).sum(1);
}

constexpr std::int64_t kColours = 3;

struct Parts {
  at::Tensor logits;                           // [B, M, H, W]
  at::Tensor means, log_scales, coefficients;  // [B, 3, M, H, W]
};

Parts parts_of(const at::Tensor& parameters, std::int64_t m) {
  check(parameters.dim() == 4 && parameters.size(1) == 10 * m, ExitCode::kRuntime,
      "mixture of {} logistics: expected {} channels, got {}", m, 10 * m, parameters.size(1));
  const at::Tensor rest = parameters.narrow(1, m, 9 * m)
                              .reshape({parameters.size(0), kColours, 3 * m, parameters.size(2), parameters.size(3)});
  return {parameters.narrow(1, 0, m), rest.narrow(2, 0, m), rest.narrow(2, m, m).clamp_min(kMinLogScale),
      at::tanh(rest.narrow(2, 2 * m, m))};
}

// values [B, 3, H, W] -> clamped, each colour shifted by the clamped ones before it.
at::Tensor shift_colours(const at::Tensor& values, const at::Tensor& coefficients) {
  const auto c = [&](std::int64_t k) { return coefficients.select(1, k); };
  const at::Tensor red = values.select(1, 0).clamp(-1.0, 1.0);
  const at::Tensor green = (values.select(1, 1) + c(0) * red).clamp(-1.0, 1.0);
  const at::Tensor blue = (values.select(1, 2) + c(1) * red + c(2) * green).clamp(-1.0, 1.0);
  return at::stack({red, green, blue}, 1);
}

}  // namespace

at::Tensor soft_clamp(const at::Tensor& x, double bound) { return at::tanh(x / bound) * bound; }

std::int64_t Likelihood::channels() const {
  if (kind == LikelihoodKind::kMixture) return 10 * mixtures;
  return kind == LikelihoodKind::kBernoulli ? image_channels : 2 * image_channels;
}

std::int64_t Likelihood::sample_channels() const { return image_channels + (kind == LikelihoodKind::kMixture ? 1 : 0); }

at::Tensor logistic_bin(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& log_scale, double half_bin) {
  const at::Tensor inverse = (-log_scale).exp(), centred = x - mean;
  const at::Tensor upper = inverse * (centred + half_bin), lower = inverse * (centred - half_bin);
  // log(sigmoid(upper) - sigmoid(lower)) without a difference of nearly equal numbers, so that
  // value and gradient hold in both tails.
  const at::Tensor log_cdf = at::log_sigmoid(upper);    // first bin: everything below
  const at::Tensor log_tail = at::log_sigmoid(-lower);  // last bin: everything above
  const at::Tensor bulk = (-at::expm1(lower - upper)).log() + log_cdf + log_tail;
  return at::where(x < half_bin - 1.0, log_cdf, at::where(x > 1.0 - half_bin, log_tail, bulk));
}

at::Tensor logistic_quantile(const at::Tensor& mean, const at::Tensor& log_scale, const at::Tensor& uniform) {
  const at::Tensor safe = uniform.clamp(kSmallestUniform, 1.0 - kSmallestUniform);
  return mean + log_scale.exp() * (safe.log() - (1.0 - safe).log());
}

at::Tensor mixture_log_likelihood(
    const at::Tensor& parameters, const at::Tensor& x, std::int64_t mixtures, std::int64_t bits) {
  const Parts p = parts_of(parameters, mixtures);
  const at::Tensor red = x.narrow(1, 0, 1), green = x.narrow(1, 1, 1);  // [B, 1, H, W]
  const auto mean = [&](std::int64_t k) { return p.means.select(1, k); };
  const auto c = [&](std::int64_t k) { return p.coefficients.select(1, k); };
  const at::Tensor means =
      at::stack({mean(0), mean(1) + c(0) * red, mean(2) + c(1) * red + c(2) * green}, 1);  // [B, 3, M, H, W]
  const double half_bin = 1.0 / (std::pow(2.0, static_cast<double>(bits)) - 1.0);
  const at::Tensor colours = logistic_bin(x.unsqueeze(2).expand_as(means), means, p.log_scales, half_bin);
  return at::logsumexp(colours.sum(1) + at::log_softmax(p.logits, 1), at::IntArrayRef{1});
}

at::Tensor mixture_mean(const at::Tensor& parameters, std::int64_t mixtures) {
  const Parts p = parts_of(parameters, mixtures);
  const at::Tensor weights = at::softmax(p.logits, 1).unsqueeze(1);  // [B, 1, M, H, W]
  return shift_colours((p.means * weights).sum(2), (p.coefficients * weights).sum(2));
}

at::Tensor mixture_sample(const at::Tensor& parameters, const at::Tensor& uniform, std::int64_t mixtures) {
  const Parts p = parts_of(parameters, mixtures);
  const at::Tensor below =
      at::softmax(p.logits, 1).cumsum(1) <= uniform.narrow(1, 0, 1);  // components wholly below the uniform
  const at::Tensor choice = below.sum(1).clamp_max(mixtures - 1);     // [B, H, W]
  const auto chosen = [&](const at::Tensor& values) {
    const at::Tensor index = choice.unsqueeze(1).unsqueeze(1).expand({-1, kColours, 1, -1, -1});
    return at::gather(values, 2, index).squeeze(2);  // [B, 3, H, W]
  };
  const at::Tensor drawn = logistic_quantile(chosen(p.means), chosen(p.log_scales), uniform.narrow(1, 1, kColours));
  return shift_colours(drawn, chosen(p.coefficients));
}

at::Tensor log_likelihood(const Likelihood& likelihood, const at::Tensor& parameters, const at::Tensor& x) {
  if (likelihood.kind == LikelihoodKind::kBernoulli) {
    return sum_pixels(likelihood, -at::binary_cross_entropy_with_logits(parameters, x, {}, {}, at::Reduction::None));
  }
  const at::Tensor scaled = 2.0 * x - 1.0;
  if (likelihood.kind == LikelihoodKind::kMixture) {
    return sum_pixels(likelihood, mixture_log_likelihood(parameters, scaled, likelihood.mixtures, likelihood.bits));
  }
  const auto parts = parameters.chunk(2, 1);
  if (likelihood.kind == LikelihoodKind::kLogistic) {
    return sum_pixels(likelihood, logistic_bin(scaled, parts[0], parts[1].clamp_min(kMinLogScale), kHalfBin));
  }
  const at::Tensor sigma = normal_sigma(parts[1]);
  return sum_pixels(likelihood, -0.5 * ((scaled - normal_mean(parts[0])) / sigma).square() - sigma.log() - kHalfLog2Pi);
}

at::Tensor mean_image(const Likelihood& likelihood, const at::Tensor& parameters) {
  switch (likelihood.kind) {
    case LikelihoodKind::kBernoulli: return at::sigmoid(parameters);
    case LikelihoodKind::kMixture: return to_unit(mixture_mean(parameters, likelihood.mixtures));
    case LikelihoodKind::kLogistic: return to_unit(parameters.chunk(2, 1)[0]);
    case LikelihoodKind::kNormal: return to_unit(normal_mean(parameters.chunk(2, 1)[0]));
  }
  fail(ExitCode::kRuntime, "likelihood {} is unknown", static_cast<int>(likelihood.kind));
}

at::Tensor sample_image(const Likelihood& likelihood, const at::Tensor& parameters, const at::Tensor& uniform) {
  switch (likelihood.kind) {
    case LikelihoodKind::kBernoulli: return at::lt(uniform, at::sigmoid(parameters)).to(parameters.scalar_type());
    case LikelihoodKind::kMixture: return to_unit(mixture_sample(parameters, uniform, likelihood.mixtures));
    default: break;
  }
  const auto parts = parameters.chunk(2, 1);
  if (likelihood.kind == LikelihoodKind::kLogistic)
    return to_unit(logistic_quantile(parts[0], parts[1].clamp_min(kMinLogScale), uniform));
  const at::Tensor safe = uniform.clamp(kSmallestUniform, 1.0 - kSmallestUniform);
  return to_unit(normal_mean(parts[0]) + normal_sigma(parts[1]) * at::special_ndtri(safe));
}

}  // namespace hebm::vae
