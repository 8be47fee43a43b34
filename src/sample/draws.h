// u_0 from each of the priors: what tells one from another in `sample`.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <vector>
#include "prior/langevin.h"
#include "prior/nce.h"
#include "prior/potential.h"
#include "prior/reverse_chain.h"
#include "vae/backbone.h"

namespace hebm::sample {

// The chains' u_0, [B, D] on the backbone's device; row b depends on ids[b] only.
using DrawLatents = std::function<at::Tensor(const prior::ChainIds& ids)>;

// References must outlive the result.
DrawLatents gaussian_draws(const vae::Backbone& backbone);
// Alg. 2: the diffusion prior.
DrawLatents diffusion_draws(
    const prior::EnergyPrior& prior, const vae::Backbone& backbone, const prior::LangevinOptions& langevin);
// The joint EBM (Eq. 8), or the product of NCE's classifiers.
DrawLatents marginal_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
    const prior::LangevinOptions& langevin, prior::NetOutput output);
// By options.sampler: importance resampling, or Langevin steps on p(u) prod_i r_i, where the layers
// below have a say in those above by the conditionals' normalisers.
DrawLatents nce_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
    const prior::LangevinOptions& langevin, const prior::NceOptions& options);
// Alg. 2 with the chain of t = 0 for these labels (Eq. 20): a category of every label head, -1:
// any; `candidates` as reverse_chain.h has them. The prior has label heads.
DrawLatents labelled_draws(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
    const prior::LangevinOptions& langevin, const std::vector<std::int64_t>& categories, double guidance,
    std::int64_t candidates);

}  // namespace hebm::sample
