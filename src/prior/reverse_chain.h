// Alg. 2: from u_T ~ N(0, I) down to u_0, one Langevin chain a level; or from a given u_t (score by level).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "prior/langevin.h"
#include "prior/potential.h"

namespace hebm::prior {

// Called around every Langevin step: level t, step k (see ChainObserver).
using ReverseObserver = std::function<void(std::int64_t t, std::int64_t k, const at::Tensor& y)>;

// t = first, first - 1, ..., last: from u_{first + 1} to u_last. None where last > first. A number alone means down to u_0.
struct LevelRange {
  LevelRange(std::int64_t first_level, std::int64_t last_level = 0) : first(first_level), last(last_level) {}
  std::int64_t first, last;
};

class ReverseChain {
 public:
  ReverseChain(const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin);
  // u [B, D] is u_{first + 1}; returns u_last. Row b's noise is keyed by (seed; ids[b], t, k).
  at::Tensor run(at::Tensor u, LevelRange range, std::uint64_t seed, const ChainIds& ids,
                 const ReverseObserver& observer = {}) const;
  // All of it from noise: u_T is drawn here too.
  at::Tensor sample(std::uint64_t seed, const ChainIds& ids, const ReverseObserver& observer = {}) const;

 private:
  const EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  LangevinOptions langevin_;
  std::vector<StepCoefficients> coefficients_;
  std::vector<EnergyNet::Weights> weights_;
};

}  // namespace hebm::prior
