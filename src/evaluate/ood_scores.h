// Scores of images for out-of-distribution detection (Sec. 5.2): the energy of the latent layers
// above k,
//   E_k = -sum over the layers above k of f_i(z_i, 0) / s_0^2, where the paper counts layers from
//   the bottom: k = 0 takes all L of them, k = L - 1 the top one alone (here layers 0 .. L - k -
//   1). By two schemes, and beside them the ELBO, of which it is known that it fails here:
//   inference: of u_0 ~ q(u_0 | x);
//   diffusion: u_1 of the layers above k = alpha_cum[1] u_0 + sigma_cum[1] n of that u_0 (Eq. 7),
//   u_1 of the layers up
//   to k from the
//              prior's own reverse chain, noise to u_1 (Eq. 10), then one reverse step of all
//              layers together, u_1 to
//              u_0, whose energy is taken.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>
#include <string>
#include <vector>
#include "prior/langevin.h"
#include "prior/potential.h"
#include "prior/reverse_chain.h"
#include "vae/backbone.h"

namespace hebm::evaluate {

class OodScorer {
 public:
  // References must outlive this object; all on one device. ks: each within 0 .. L - 1.
  OodScorer(const prior::EnergyPrior& prior, const vae::Backbone& backbone, const prior::LangevinOptions& langevin,
      std::vector<std::int64_t> ks, std::uint64_t seed);

  // Columns of scores(): "elbo", "inference k = 0", ..., "diffusion k = 0", ...
  std::vector<std::string> columns() const;
  // x [B, C, H, W] in [0, 1] on the device -> [B, 1 + 2 K] float64 on the host: ELBO of one draw,
  // then energies, in nats. All noise is keyed by (seed; images[b], set): 0 for the in set, 1 for
  // the out set.
  at::Tensor scores(const at::Tensor& x, std::span<const std::int64_t> images, std::uint32_t set) const;

  // E_k of u_0 [B, D] for every k, [B, K] float64 on the device.
  at::Tensor energies(const at::Tensor& u) const;
  // [u_1 of the layers above k, u_1 of the others], both [B, D].
  at::Tensor joined(const at::Tensor& above, const at::Tensor& others, std::int64_t k) const;
 private:
  at::Tensor diffusion_energies(const at::Tensor& u_0, const prior::ChainIds& ids) const;  // [B, K]

  const prior::EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  prior::ReverseChain chain_;
  std::vector<prior::EnergyNet::Weights> weights_;
  std::vector<std::int64_t> ks_;
  std::uint64_t seed_;
  double step_variance_;  // s_0^2
};

}  // namespace hebm::evaluate
