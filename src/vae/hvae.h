// The paper's second backbone: a convolutional top-down hierarchical VAE with L latent layers
// (default 3), bidirectional inference and residual posteriors: in standard coordinates q(u_i | x,
// z_<i) = N(d_mu_i, exp(d_log_sigma_i)^2), so z_i = mu_i + sigma_i u_i and KL_i has the closed form
// of two Gaussians, independent of mu_i and sigma_i. The top layer is z_0 = u_0 (Eq. 15).
#pragma once
#include <limits>
#include <string>
#include <vector>

#include "nets/layers.h"
#include "vae/backbone.h"
#include "vae/likelihood.h"

namespace hebm {
class Options;
}

namespace hebm::vae {

struct HvaeOptions {
  std::string latents = "8x2,8x4,16x4";  // channels x side, top first; sides are equal or double
  std::int64_t width = 32;               // channels of the path from layer to layer: what a Langevin step runs
  std::int64_t image_width = 64;         // channels of encoder and image decoder up to a quarter of the image's side
  std::int64_t pixel_width = 32;         // channels at half the image's side
  std::string image_from = "bottom";  // the image decoder sees the bottom z alone, or (all) what all layers left in s
  std::string likelihood = "bernoulli";
  void describe(Options& options);
};

// Residual block: x + conv3x3(SiLU(conv3x3(SiLU(x)))).
struct ResBlock {
  nets::Conv first, second;
  at::Tensor operator()(const at::Tensor& x) const;
};

class Hvae final : public Backbone {
 public:
  // max_values: see nets::Parameters.
  Hvae(const HvaeOptions& options, const ImageShape& image, std::uint64_t seed, at::ScalarType dtype = at::kFloat,
       std::int64_t max_values = std::numeric_limits<std::int64_t>::max());

  const std::vector<LatentShape>& groups() const override { return groups_; }
  ImageShape image_shape() const override { return image_; }
  std::vector<at::Tensor> transport(const at::Tensor& u) const override;
  Transported transport_with_scale(const at::Tensor& u) const override;
  at::Tensor inverse(const std::vector<at::Tensor>& z) const override;
  Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const override;
  at::Tensor decode(const at::Tensor& u, double temperature) const override;
  at::Tensor decode_posterior(const Posterior& posterior) const override;
  at::Tensor log_likelihood(const at::Tensor& parameters, const at::Tensor& x) const override;
  at::Tensor mean_image(const at::Tensor& parameters) const override;
  at::Tensor sample_image(const at::Tensor& parameters, const at::Tensor& noise) const override;
  std::int64_t sample_channels() const override;
  nets::Parameters& params() override { return params_; }
  const nets::Parameters& params() const override { return params_; }
  std::string architecture() const override;
  // From the metadata of a weights file of max_values numbers: hostile until checked,
  // Error(kCorrupt).
  static std::unique_ptr<Hvae> from_architecture(const std::string& json,
                                                 std::int64_t max_values = std::numeric_limits<std::int64_t>::max(),
                                                 at::ScalarType dtype = at::kFloat);
  double transport_flop() const override { return transport_flop_; }

 private:
  struct Layer {                // of latent i
    bool doubles = false;       // nearest x2 first
    ResBlock block;             // top-down
    nets::Conv prior_head;      // -> mu, raw log sigma (not for i = 0)
    nets::Conv posterior_head;  // [encoder features, s] -> d_mu, d_log_sigma
    nets::Conv from_z;          // z -> s
  };
  struct Prior {
    at::Tensor mu, sigma, log_sigma;
  };
  at::Tensor start(std::int64_t count) const;
  at::Tensor before_layer(std::size_t i, const at::Tensor& s) const;
  // s behind layer i, z_i included.
  at::Tensor after_layer(std::size_t i, const at::Tensor& s, const at::Tensor& z) const;
  Prior prior_of(std::size_t i, const at::Tensor& s) const;
  std::vector<at::Tensor> encode(const at::Tensor& x) const;
  at::Tensor tail(const at::Tensor& s) const;
  void build_encoder();
  void build_decoder();
  void build_tail();

  HvaeOptions options_;
  ImageShape image_;
  Likelihood likelihood_;
  std::vector<LatentShape> groups_;
  nets::Parameters params_;
  at::Tensor start_;  // [1, width, h0, w0]
  nets::Conv stem_;
  std::vector<nets::Conv> encoder_downs_;  // one a resolution below half the image's side, fine to coarse
  std::vector<ResBlock> encoder_blocks_;   // after each
  std::vector<Layer> layers_;
  nets::Conv to_image_;
  std::vector<nets::Conv> tail_ups_;  // transposed 4x4 of stride 2
  std::vector<ResBlock> tail_blocks_;
  nets::Conv out_;
  double transport_flop_ = 0;
};

// "16x2,8x4" -> shapes; Error(kUsage) says what is wrong.
std::vector<LatentShape> parse_latents(const std::string& text);

}  // namespace hebm::vae
