#include "nets/optimiser.h"
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include <cmath>
#include <numbers>

namespace hebm::nets {

Optimiser::Optimiser(Parameters& params, OptimiserSettings settings) : params_(params), settings_(settings) {
  first_ = at::zeros_like(params.flat());
  second_ = at::zeros_like(params.flat());
  count_ = at::zeros({1}, at::kLong);
}

void Optimiser::step(double learning_rate) {
  const c10::NoGradGuard no_grad;
  const std::int64_t n = ++*count_.data_ptr<std::int64_t>();
  at::Tensor gradient = params_.grad();
  if (settings_.weight_decay != 0.0) gradient = gradient.add(params_.flat(), settings_.weight_decay);
  const double correction1 = 1.0 - std::pow(settings_.beta1, static_cast<double>(n));
  first_.mul_(settings_.beta1).add_(gradient, 1.0 - settings_.beta1);
  if (settings_.rule == Rule::kAdam) {
    const double correction2 = 1.0 - std::pow(settings_.beta2, static_cast<double>(n));
    second_.mul_(settings_.beta2).addcmul_(gradient, gradient, 1.0 - settings_.beta2);
    const at::Tensor denominator = second_.sqrt().div_(std::sqrt(correction2)).add_(settings_.eps);
    params_.flat().addcdiv_(first_, denominator, -learning_rate / correction1);
  } else {
    second_.copy_(at::maximum(second_.mul(settings_.beta2), gradient.abs().add_(settings_.eps)));
    params_.flat().addcdiv_(first_, second_, -learning_rate / correction1);
  }
}

std::vector<NamedTensor> Optimiser::state(const std::string& prefix) const {
  const char* second = settings_.rule == Rule::kAdam ? "exp_avg_sq" : "exp_inf";
  return {{prefix + "exp_avg", first_}, {prefix + second, second_}, {prefix + "step", count_}};
}

Ema::Ema(const Parameters& params, double decay)
    : params_(params), decay_(decay), flat_(params.flat().detach().clone()) {}

void Ema::update(std::int64_t num_updates) {
  const c10::NoGradGuard no_grad;
  const double n = static_cast<double>(num_updates);
  const double decay = std::min(decay_, (n + 1.0) / (n + 10.0));
  flat_.mul_(decay).add_(params_.flat(), 1.0 - decay);
}

WithEma::WithEma(Parameters& params, const Ema& ema) : params_(params), kept_(params.flat().detach().clone()) {
  params_.flat().copy_(ema.flat());
}

WithEma::~WithEma() { params_.flat().copy_(kept_); }

double scheduled_rate(const RateSchedule& s, std::int64_t update) {
  if (update < s.warmup) return s.base * static_cast<double>(update + 1) / static_cast<double>(s.warmup);
  const double span = static_cast<double>(std::max<std::int64_t>(1, s.total - s.warmup));
  const double progress = std::min(1.0, static_cast<double>(update - s.warmup) / span);
  switch (s.kind) {
    case RateKind::kConstant: return s.base;
    case RateKind::kLinear: return s.base * (1.0 + (s.final_fraction - 1.0) * progress);
    case RateKind::kSteps: {
      const std::int64_t num_decays = update / s.decay_every;
      return s.base * std::pow(s.decay, static_cast<double>(num_decays));
    }
    case RateKind::kCosine: break;
  }
  return s.base * (s.final_fraction + (1.0 - s.final_fraction) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

}  // namespace hebm::nets
