// The paper's second backbone: a convolutional top-down hierarchical VAE with L latent layers (default 3), bidirectional inference and
// residual posteriors: in standard coordinates q(u_i | x, z_<i) = N(d_mu_i, exp(d_log_sigma_i)^2), so z_i = mu_i + sigma_i u_i and
// KL_i has the closed form of two Gaussians, independent of mu_i and sigma_i. The top layer is z_0 = u_0 (Eq. 15).
#pragma once
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
  std::string latents = "16x2,8x4,8x8";  // channels x side, top first; sides are equal or double
  std::int64_t width = 32;               // channels at latent resolutions
  std::int64_t pixel_width = 32;         // channels at resolutions above the last latent's
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
  Hvae(const HvaeOptions& options, const ImageShape& image, std::uint64_t seed, at::ScalarType dtype = at::kFloat);

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
  nets::Parameters& params() override { return params_; }
  const nets::Parameters& params() const override { return params_; }
  std::string architecture() const override;
  // From the metadata of a weights file: hostile until checked, Error(kCorrupt).
  static std::unique_ptr<Hvae> from_architecture(const std::string& json);
  // Multiply-adds times two of transport() for one image.
  double transport_flop() const { return transport_flop_; }

 private:
  struct Layer {              // of latent i
    nets::Conv up;            // after nearest x2, when the side doubles
    bool doubles = false;
    ResBlock block;           // top-down
    nets::Conv prior_head;    // -> mu, raw log sigma (not for i = 0)
    nets::Conv posterior_head;  // [encoder features, s] -> d_mu, d_log_sigma
    nets::Conv from_z;        // z -> s
  };
  struct Prior {
    at::Tensor mu, sigma, log_sigma;
  };
  at::Tensor start(std::int64_t count) const;
  at::Tensor before_layer(std::size_t i, const at::Tensor& s) const;
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
  std::vector<ResBlock> encoder_blocks_;   // one a resolution, fine to coarse
  std::vector<nets::Conv> encoder_downs_;  // between them
  std::vector<Layer> layers_;
  std::vector<nets::Conv> tail_ups_;
  std::vector<ResBlock> tail_blocks_;
  nets::Conv out_;
  double transport_flop_ = 0;
};

// "16x2,8x4" -> shapes; Error(kUsage) says what is wrong.
std::vector<LatentShape> parse_latents(const std::string& text);

}  // namespace hebm::vae
