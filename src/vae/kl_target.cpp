#include "vae/kl_target.h"
#include <algorithm>
#include <cmath>
#include <utility>
#include "base/error.h"

namespace hebm::vae {
namespace {

constexpr double kStart = 0.3, kLowest = 0.01, kHighest = 10.0;  // beta
constexpr double kRate = 0.02;                                   // of log beta, an update
constexpr double kMemory = 0.9;                                  // of the average
constexpr double kLeastTarget = 0.5;                             // nats, while it grows

bool are_numbers(const nlohmann::json& values, std::size_t count) {
  return values.is_array() && values.size() == count &&
         std::all_of(values.begin(), values.end(), [](const nlohmann::json& value) { return value.is_number(); });
}

}  // namespace

KlTargets::KlTargets(std::vector<double> targets, double ramp)
    : targets_(std::move(targets)), ramp_(ramp), beta_(targets_.size(), kStart) {
  for (const double target : targets_)
    check(target > 0.0, ExitCode::kUsage, "KL targets: expected nats above 0, got {}", target);
}

double KlTargets::target(std::size_t layer, std::int64_t update, std::int64_t total) const {
  const double depth =
      targets_.size() > 1 ? static_cast<double>(layer) / static_cast<double>(targets_.size() - 1) : 0.0;
  const double from = ramp_ / 6.0 * depth, to = std::max(ramp_ / 15.0, ramp_ * depth);
  const double at = static_cast<double>(update) / static_cast<double>(std::max<std::int64_t>(1, total));
  const double grown = to > from ? std::clamp((at - from) / (to - from), 0.0, 1.0) : 1.0;
  return std::max(grown * targets_[layer], std::min(kLeastTarget, targets_[layer]));
}

void KlTargets::observe(const std::vector<double>& kl, std::int64_t update, std::int64_t total) {
  check(kl.size() == targets_.size(), ExitCode::kRuntime, "KL targets: {} layers, {} targets", kl.size(),
      targets_.size());
  if (average_.empty()) average_ = kl;
  for (std::size_t i = 0; i < kl.size(); ++i) {
    average_[i] = kMemory * average_[i] + (1.0 - kMemory) * kl[i];
    const double off = std::clamp(average_[i] / target(i, update, total) - 1.0, -1.0, 1.0);
    beta_[i] = std::clamp(beta_[i] * std::exp(kRate * off), kLowest, kHighest);
  }
}

nlohmann::json KlTargets::state() const { return {{"beta", beta_}, {"average", average_}}; }

void KlTargets::restore(const nlohmann::json& state) {
  beta_.assign(targets_.size(), kStart);
  average_.clear();
  if (state.empty()) return;
  const auto part = [&](const char* key) { return state.is_object() ? state.value(key, nlohmann::json()) : state; };
  const nlohmann::json beta = part("beta"), average = part("average");
  check(are_numbers(beta, targets_.size()) && (are_numbers(average, targets_.size()) || are_numbers(average, 0)),
      ExitCode::kCorrupt, "checkpoint: KL targets: expected beta and average of {} layers", targets_.size());
  beta_ = beta.get<std::vector<double>>();
  average_ = average.get<std::vector<double>>();
}

}  // namespace hebm::vae
