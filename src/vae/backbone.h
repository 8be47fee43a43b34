// A frozen hierarchical VAE as the prior sees it: posterior, transport u <-> z (Eq. 15), decoder
// (Sec. 2.1, A.1). Layers top first (i = 0 is the paper's z_L); u [B, D] is all layers flat in that
// order. One interface for HVAE and NVAE.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>
#include "base/types.h"
#include "nets/batch_norm.h"
#include "nets/parameters.h"

namespace hebm::vae {

struct Posterior {
  std::vector<at::Tensor> z;   // [L] of [B, c, h, w]
  at::Tensor u;                // [B, D] z in standard coordinates: T_beta^-1(z)
  std::vector<at::Tensor> kl;  // [L] of [B], nats
  at::Tensor state;            // what decode_posterior() reads
};

struct Transported {
  std::vector<at::Tensor> z;  // [L] of [B, c, h, w]
  at::Tensor log_sigma_sum;   // [B] sum of log sigma over all elements (Eq. 16)
};

class BatchStatistics;  // vae/batch_statistics.h

class Backbone {
 public:
  virtual ~Backbone() = default;
  virtual const std::vector<LatentShape>& groups() const = 0;
  virtual ImageShape image_shape() const = 0;
  // Bits of a colour value that the likelihood tells apart.
  virtual std::int64_t pixel_bits() const { return 8; }
  std::int64_t dim() const;

  // T_beta(u), only what z needs; differentiable in u. u [B, D].
  virtual std::vector<at::Tensor> transport(const at::Tensor& u) const = 0;
  // The same with sum log sigma, for log p(z) = log N(u; 0, I) - sum log sigma.
  virtual Transported transport_with_scale(const at::Tensor& u) const = 0;
  // T_beta^-1(z) -> u [B, D].
  virtual at::Tensor inverse(const std::vector<at::Tensor>& z) const = 0;
  // x [B, C, H, W] in [0, 1], noise [B, D] ~ N(0, I): z and u of one draw of q(z|x), in one pass.
  virtual Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const = 0;
  // Likelihood parameters of x given u [B, D]; temperature scales every sigma (z of the top layer
  // too).
  virtual at::Tensor decode(const at::Tensor& u, double temperature = 1.0) const = 0;
  // Parameters of the likelihood for a posterior just drawn (reconstruction, ELBO).
  virtual at::Tensor decode_posterior(const Posterior& posterior) const = 0;
  // log p(x | parameters) [B] in nats; x in [0, 1].
  virtual at::Tensor log_likelihood(const at::Tensor& parameters, const at::Tensor& x) const = 0;
  // Mean image in [0, 1], [B, C, H, W].
  virtual at::Tensor mean_image(const at::Tensor& parameters) const = 0;
  // A sample of the likelihood in [0, 1]; noise [B, sample_channels(), H, W] ~ U[0, 1).
  virtual at::Tensor sample_image(const at::Tensor& parameters, const at::Tensor& noise) const = 0;
  virtual std::int64_t sample_channels() const = 0;

  virtual nets::Parameters& params() = 0;
  virtual const nets::Parameters& params() const = 0;
  // Architecture as JSON text: written into the weights file's metadata, checked when it is read.
  virtual std::string architecture() const = 0;
  // Multiply-adds times two of transport() for one image.
  virtual double transport_flop() const = 0;
  // The parameters stay as they are from here on: transport() may prepare what it needs of them
  // once. A later change is seen.
  virtual void freeze() {}
  // Training of a backbone whose layers see the whole batch; null: it has none. `sum` adds over
  // ranks, in the same order on all of them. The backbone stays where it is.
  virtual std::unique_ptr<BatchStatistics> batch_statistics(nets::SumOverRanks sum, std::uint64_t seed) const;
};

// u [B, D] -> [L] of [B, c, h, w] views, and back.
std::vector<at::Tensor> split_layers(const at::Tensor& u, const std::vector<LatentShape>& groups);
at::Tensor join_layers(const std::vector<at::Tensor>& layers);

}  // namespace hebm::vae
