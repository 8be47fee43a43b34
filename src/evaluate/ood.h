// Out-of-distribution detection on two data sets (Sec. 5.2, Fig. 3): scores of test images of both,
// and how well each score tells them apart. Images are shared by fixed chunks over ranks, so the
// result does not depend on their number.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>
#include <string>
#include <vector>
#include "base/options.h"
#include "base/status.h"
#include "comm/chunks.h"
#include "data/dataset.h"
#include "prior/langevin.h"
#include "prior/potential.h"
#include "prior/reverse_chain.h"
#include "results/experiments.h"
#include "vae/backbone.h"

namespace hebm::evaluate {

// What a number tells of an image.
struct OodColumn {
  results::OodScheme scheme;
  results::Count k{};        // not of the ELBO
  std::string name() const;  // "elbo", "inference k = 0"
};

// Scores of images: the energy of the latent layers above k,
//   E_k = -sum over the layers above k of f_i(z_i, 0) / s_0^2, where the paper counts layers from
//   the bottom: k = 0 takes all L of them, k = L - 1 the top one alone (here layers 0 .. L-k-1);
// and beside them the ELBO, of which it is known that it fails here. Two schemes:

// inference: E_k of u_0 ~ q(u_0 | x). diffusion: u_1 of the layers above k is alpha_cum[1] u_0 +
// sigma_cum[1] n of that u_0 (Eq. 7), that of the others comes from the prior's own reverse chain
// (Eq. 10); then one reverse step of all layers together to u_0, whose E_k is taken.
class OodScorer {
 public:
  // References must outlive this object; all on one device. ks: each within 0 .. L - 1.
  OodScorer(const prior::EnergyPrior& prior, const vae::Backbone& backbone, const prior::LangevinOptions& langevin,
      std::vector<std::int64_t> ks, std::uint64_t seed);

  // Columns of scores(): the ELBO, the inference scheme for every k, the diffusion scheme.
  const std::vector<OodColumn>& columns() const { return columns_; }
  // x [B, C, H, W] in [0, 1] on the device -> [B, 1 + 2 K] float64 on the host: ELBO of one draw,
  // then energies, in nats. All noise is keyed by (seed; images[b], set): 0 for the in set, 1 for
  // the out set.
  at::Tensor scores(const at::Tensor& x, std::span<const std::int64_t> images, std::uint32_t set) const;

  // E_k of u_0 [B, D] for every k, [B, K] float64 on the device.
  at::Tensor energies(const at::Tensor& u) const;
 private:
  at::Tensor diffusion_energies(const at::Tensor& u_0, const prior::ChainIds& ids) const;  // [B, K]

  const prior::EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  prior::ReverseChain chain_;
  std::vector<prior::EnergyNet::Weights> weights_;
  std::vector<std::int64_t> ks_;
  std::vector<OodColumn> columns_;
  std::uint64_t seed_;
  double step_variance_;  // s_0^2
};

struct OodOptions {
  std::int64_t num_images = 2000, chunk = 100;  // of each set
  std::vector<std::int64_t> k;                  // empty: 0 .. L - 1
  std::int64_t bootstrap = 1000;                // resamples of an interval
  std::int64_t bins = 40;                       // of a histogram
  std::int64_t seed = 3;                        // of the choice of images, all noise and the resamples
  void describe(Options& options);
};

struct OodSet {
  std::string name;
  const data::Dataset& dataset;
};

struct OodInputs {
  OodSet in, out;
  const vae::Backbone& backbone;
  const prior::EnergyPrior& prior;
  prior::LangevinOptions langevin;
};

// The values of k: options.k, or all. Error(kUsage) names one that the VAE's layers do not have, a
// set whose images have another shape than the VAE's, and one with too few test images.
std::vector<std::int64_t> check_ood(const OodOptions& options, const OodInputs& inputs);

// Collective; the result is rank 0's.
results::Ood ood(const OodOptions& options, const OodInputs& inputs, const comm::Crew& crew);

// Counts of both sets in equal bins over the middle 99 % of all values.
results::PairedHistogram paired_histogram(
    const std::vector<double>& in, const std::vector<double>& out, std::int64_t bins);

}  // namespace hebm::evaluate
