// First-order optimisers and the exponential moving average over flat parameter vectors (one per
// bucket). All state is named, saved and restored, so that a resumed run continues bit by bit.
#pragma once
#include <ATen/core/Tensor.h>
#include <array>
#include <cstdint>
#include <string>
#include <vector>
#include "base/choice.h"
#include "nets/parameters.h"

namespace hebm::nets {

enum class Rule {
  kAdam,    // Kingma & Ba 2015, Alg. 1
  kAdamax,  // Alg. 2 there
};
constexpr std::array<Choice<Rule>, 2> choices_of(Rule) { return {{{"adam", Rule::kAdam}, {"adamax", Rule::kAdamax}}}; }

struct OptimiserSettings {
  Rule rule = Rule::kAdam;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.0;  // L2, added to the gradient (not decoupled), as torch.optim.Adam does
};

class Optimiser {
 public:
  Optimiser(Parameters& params, OptimiserSettings settings);
  // One update from params.grad() with this learning rate; counts itself.
  void step(double learning_rate);
  // "exp_avg", "exp_avg_sq" (or "exp_inf") as flat vectors and "step" [1] int64, each with the
  // prefix; the tensors are live.
  std::vector<NamedTensor> state(const std::string& prefix) const;
 private:
  Parameters& params_;
  OptimiserSettings settings_;
  at::Tensor first_, second_, count_;
};

// EMA of weights with warm-up: decay min(d, (n + 1) / (n + 10)) at update n = 0, 1, ...
class Ema {
 public:
  Ema(const Parameters& params, double decay);
  void update(std::int64_t num_updates);
  const at::Tensor& flat() const { return flat_; }
 private:
  const Parameters& params_;
  double decay_;
  at::Tensor flat_;
};

// Puts the averaged weights into the net while it lives, and the trained ones back after.
class WithEma {
 public:
  WithEma(Parameters& params, const Ema& ema);
  ~WithEma();
  WithEma(const WithEma&) = delete;
  WithEma& operator=(const WithEma&) = delete;
 private:
  Parameters& params_;
  at::Tensor kept_;
};

enum class RateKind { kConstant, kLinear, kCosine, kSteps };
constexpr std::array<Choice<RateKind>, 4> choices_of(RateKind) {
  return {{{"constant", RateKind::kConstant}, {"linear", RateKind::kLinear}, {"cosine", RateKind::kCosine},
      {"steps", RateKind::kSteps}}};
}

struct RateSchedule {
  double base = 0;
  RateKind kind = RateKind::kConstant;
  double final_fraction = 0;  // linear, cosine: rate over base at `total`
  std::int64_t warmup = 0, total = 0;
  double decay = 1;  // steps: factor of the rate after every `decay_every` updates
  std::int64_t decay_every = 1;
};

// The learning rate of an update: linear warm-up, then as `kind` says.
double scheduled_rate(const RateSchedule& schedule, std::int64_t update);

}  // namespace hebm::nets
