#include "vae/likelihood.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/lt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/where.h>

#include "base/error.h"

namespace hebm::vae {
namespace {

constexpr double kMinLogScale = -7.0;
constexpr double kHalfBin = 1.0 / 255.0;  // on [-1, 1], 256 values

}  // namespace

Likelihood parse_likelihood(const std::string& name) {
  if (name == "bernoulli") return Likelihood::kBernoulli;
  check(name == "logistic", ExitCode::kUsage, "vae.likelihood = '{}': expected bernoulli or logistic", name);
  return Likelihood::kLogistic;
}

std::int64_t likelihood_channels(Likelihood kind, std::int64_t image_channels) {
  return kind == Likelihood::kBernoulli ? image_channels : 2 * image_channels;
}

at::Tensor log_likelihood(Likelihood kind, const at::Tensor& parameters, const at::Tensor& x) {
  if (kind == Likelihood::kBernoulli) {
    return -at::binary_cross_entropy_with_logits(parameters, x, {}, {}, at::Reduction::None).flatten(1).sum(1);
  }
  const auto parts = parameters.chunk(2, 1);
  const at::Tensor log_scale = parts[1].clamp_min(kMinLogScale);
  const at::Tensor centred = 2.0 * x - 1.0 - parts[0];
  const at::Tensor inverse = (-log_scale).exp();
  const at::Tensor upper = inverse * (centred + kHalfBin), lower = inverse * (centred - kHalfBin);
  // log(sigmoid(upper) - sigmoid(lower)) without a difference of nearly equal numbers, so that value and gradient hold in both tails.
  const at::Tensor log_cdf = at::log_sigmoid(upper);    // x = 0: everything below
  const at::Tensor log_tail = at::log_sigmoid(-lower);  // x = 1: everything above
  const at::Tensor bulk = (-at::expm1(lower - upper)).log() + log_cdf + log_tail;
  const at::Tensor per_pixel = at::where(x < 0.5 / 255.0, log_cdf, at::where(x > 1.0 - 0.5 / 255.0, log_tail, bulk));
  return per_pixel.flatten(1).sum(1);
}

at::Tensor mean_image(Likelihood kind, const at::Tensor& parameters) {
  if (kind == Likelihood::kBernoulli) return at::sigmoid(parameters);
  return ((parameters.chunk(2, 1)[0] + 1.0) * 0.5).clamp(0.0, 1.0);
}

at::Tensor sample_image(Likelihood kind, const at::Tensor& parameters, const at::Tensor& uniform) {
  if (kind == Likelihood::kBernoulli) return at::lt(uniform, at::sigmoid(parameters)).to(parameters.scalar_type());
  const auto parts = parameters.chunk(2, 1);
  const at::Tensor safe = uniform.clamp(1e-5, 1.0 - 1e-5);
  const at::Tensor value = parts[0] + parts[1].clamp_min(kMinLogScale).exp() * (safe.log() - (1.0 - safe).log());
  return ((value + 1.0) * 0.5).clamp(0.0, 1.0);
}

}  // namespace hebm::vae
