#include "vae/mixture_logistic.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <cmath>
#include "base/error.h"
#include "vae/likelihood.h"

namespace hebm::vae {
namespace {

constexpr double kMinLogScale = -7.0;
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

// values [B, 3, H, W] before the shifts -> clamped, each colour shifted by the clamped ones before
// it.
at::Tensor shift_colours(const at::Tensor& values, const at::Tensor& coefficients) {
  const auto c = [&](std::int64_t k) { return coefficients.select(1, k); };
  const at::Tensor red = values.select(1, 0).clamp(-1.0, 1.0);
  const at::Tensor green = (values.select(1, 1) + c(0) * red).clamp(-1.0, 1.0);
  const at::Tensor blue = (values.select(1, 2) + c(1) * red + c(2) * green).clamp(-1.0, 1.0);
  return at::stack({red, green, blue}, 1);
}

}  // namespace

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

}  // namespace hebm::vae
