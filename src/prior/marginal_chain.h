// The chain of a marginal EBM (Eq. 4 and 8; prior.kind joint, nce): K Langevin steps from N(0, I)
// to draws of p(u) exp F(u). One level without a kernel: the Gaussian terms are u ~ N(0, I) alone.
#pragma once
#include <ATen/core/Tensor.h>
#include <vector>
#include "prior/langevin.h"
#include "prior/potential.h"

namespace hebm::prior {

// What the nets' output is: s^2 F (an EBM's) or F itself (the logits of classifiers).
enum class NetOutput { kScaled, kLogit };

class MarginalChain {
 public:
  // References must outlive this object. The prior has make_marginal_schedule().
  MarginalChain(const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin,
      NetOutput output = NetOutput::kScaled);
  // u_0 of these chains, [B, D].
  at::Tensor sample(const ChainIds& ids) const;
 private:
  const EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  std::int64_t steps_;
  std::vector<StepCoefficients> coefficients_;  // of the one level
  std::vector<EnergyNet::Weights> weights_;
};

}  // namespace hebm::prior
