#include "prior/options.h"

namespace hebm::prior {

void LangevinOptions::describe(Options& o) {
  o.add("langevin.steps", &steps, "K, Langevin steps a level (Alg. 1, 2)", {1, 1000000}, Show::kCommon);
  o.add_choice("langevin.step_rule", &step_rule,
      "s_t^2: natural = 2 langevin.step / P_t, paper = langevin.eta * sigma_cum[t]/sigma_cum[0] * sigma[t+1]^2",
      Show::kCommon);
  o.add("langevin.step", &step, "natural step size, in units of the Gaussian terms' variance", {1e-9, 2.0},
      Show::kCommon);
  o.add("langevin.eta", &eta,
      "eta of the paper's rule (3e-5 CIFAR-10, 2e-5 CelebA-HQ-256; with T = 1 about 100 times that)", {1e-12, 1e3});
  o.add_list("langevin.by_level", &by_level, "factors of s_t^2 for t = 0, 1, ... (the last one goes on)", {1e-9, 1e9});
  o.add_choice("langevin.integrator", &integrator,
      "paper: Euler-Maruyama step; exact: Gaussian terms by an Ornstein-Uhlenbeck step");
  o.add_choice("langevin.start", &start,
      "where a level's chain starts: kernel = alpha u_{t+1} + sigma n, the law of its Gaussian terms; next = u_{t+1} "
      "(paper), which leaves a surplus variance where K x step is below 3",
      Show::kCommon);
  o.add("langevin.noise", &noise, "factor of the chain's noise (paper: 1)", {0.0, 10.0});
  o.add_choice("compute.chain_precision", &precision,
      "of a chain's nets and decoder path; u, noise, sums and the loss stay float32. bfloat16: CPUs with AVX512_BF16 "
      "and GPUs; tf32: GPUs");
  o.add("langevin.eta_marginal", &eta_marginal,
      "s^2 of the chain of prior.kind joint and nce, under both step rules: one level from N(0, I), whose natural "
      "step would be half of it",
      {1e-9, 4.0});
}

void EnergyOptions::describe(Options& o) {
  o.add_choice("energy.net", &net,
      "energy nets: small (convolutions, for the HVAE's layers), dense (without them, for a small NVAE's), or "
      "the paper's of CIFAR-10 and CelebA-HQ-256 (latents 4 x 4 to 128 x 128)",
      Show::kCommon);
  o.add("energy.width", &width, "channels of the energy nets (paper: 128 CIFAR-10, 64 CelebA-HQ-256)", {4, 4096},
      Show::kCommon);
  o.add("energy.embedding", &embedding, "size of the embedding of t, small nets (the paper's have 128)", {2, 4096});
  o.add("energy.per_level", &per_level, "nets of their own for every t; false: one net a layer that is told t (paper)");
  o.add("energy.gain", &gain, "factor of the nets' output", {1e-6, 1e6});
  o.add("energy.spectral_norm", &spectral_norm, "divide every weight by its largest singular value");
  o.add("energy.power_iterations", &power_iterations, "power iterations an optimiser step", {0, 1000});
  o.add("energy.warm_iterations", &warm_iterations, "power iterations before the first step", {0, 10000});
  o.add("energy.power_iterations_in_chain", &power_iterations_in_chain,
      "one power iteration at every Langevin step and each half of the loss, K + 2 an update (authors' code), "
      "instead of energy.power_iterations");
}

std::int64_t EnergyOptions::embedding_size() const {
  constexpr std::int64_t kPaperEmbedding = 128;
  return ours() ? embedding : kPaperEmbedding;
}

}  // namespace hebm::prior
