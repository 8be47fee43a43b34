// A backbone that draws z from the top, layer by layer (Eq. 15): z_i = mu_i(z_<i) + sigma_i(z_<i)
// u_i. The recursion stands here, once, for transport, inverse, posterior and decoder; a backbone
// gives what one layer does. The state s [B, C, h, w] carries z_<i down.
#pragma once
#include <cstddef>
#include "vae/backbone.h"
#include "vae/likelihood.h"

namespace hebm::vae {

// p(z_i | z_<i), [B, c, h, w] each.
struct LayerNormal {
  at::Tensor mu, sigma;
  at::Tensor log_sigma;  // undefined: the log of sigma
};

// A draw of q(z_i | x, z_<i), [B, c, h, w] each.
struct LayerDraw {
  at::Tensor z, u;  // u: z in standard coordinates
  at::Tensor kl;    // nats an element
};

// What the layers of one net do, i = 0 at the top.
class TopDownLayers {
 public:
  virtual ~TopDownLayers() = default;
  // s above layer 0.
  virtual at::Tensor start(std::int64_t count) const = 0;
  // s behind layer i - 1 (or the start) -> s as layer i reads it.
  virtual at::Tensor enter(std::size_t i, const at::Tensor& s) const = 0;
  // Of s as layer i reads it; i > 0: the top layer's is N(0, top_sigma^2).
  virtual LayerNormal prior(std::size_t i, const at::Tensor& s) const = 0;
  // s as layer i read it -> s behind it, with z_i [B, c, h, w].
  virtual at::Tensor absorb(std::size_t i, const at::Tensor& s, const at::Tensor& z) const = 0;
  // x [B, C, H, W] in [0, 1] -> [L] what draw() of each layer sees of it.
  virtual std::vector<at::Tensor> encode(const at::Tensor& x) const = 0;
  virtual LayerDraw draw(
      std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const = 0;
  // s behind the last layer -> likelihood parameters.
  virtual at::Tensor image(const at::Tensor& s) const = 0;
};

class TopDownBackbone : public Backbone {
 public:
  struct Shape {
    ImageShape image;
    Likelihood likelihood;
    std::vector<LatentShape> groups;
    double top_sigma = 1.0;
  };
  TopDownBackbone(Shape shape, nets::Parameters params) : shape_(std::move(shape)), params_(std::move(params)) {}

  const std::vector<LatentShape>& groups() const final { return shape_.groups; }
  ImageShape image_shape() const final { return shape_.image; }
  std::int64_t pixel_bits() const final { return shape_.likelihood.bits; }
  nets::Parameters& params() final { return params_; }
  const nets::Parameters& params() const final { return params_; }
  double transport_flop() const final { return transport_flop_; }

  std::vector<at::Tensor> transport(const at::Tensor& u) const override;
  Transported transport_with_scale(const at::Tensor& u) const final;
  at::Tensor inverse(const std::vector<at::Tensor>& z) const final;
  Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const final {
    return posterior(layers(), x, noise);
  }
  at::Tensor decode(const at::Tensor& u, double temperature) const override { return decode(layers(), u, temperature); }
  at::Tensor decode_posterior(const Posterior& posterior) const final { return layers().image(posterior.state); }
  at::Tensor log_likelihood(const at::Tensor& parameters, const at::Tensor& x) const final {
    return vae::log_likelihood(shape_.likelihood, parameters, x);
  }
  at::Tensor mean_image(const at::Tensor& parameters) const final {
    return vae::mean_image(shape_.likelihood, parameters);
  }
  at::Tensor sample_image(const at::Tensor& parameters, const at::Tensor& noise) const final {
    return vae::sample_image(shape_.likelihood, parameters, noise);
  }
  std::int64_t sample_channels() const final { return shape_.likelihood.sample_channels(); }

  // The same over layers that run in another way: training.
  Posterior posterior(const TopDownLayers& layers, const at::Tensor& x, const at::Tensor& noise) const;
  at::Tensor decode(const TopDownLayers& layers, const at::Tensor& u, double temperature) const;
 protected:
  virtual const TopDownLayers& layers() const = 0;
  const Likelihood& likelihood() const { return shape_.likelihood; }
  // Counts a convolution or matrix that transport() runs at this side.
  void count_transport(const at::Tensor& weight, std::int64_t side);
 private:
  Transported transported(const at::Tensor& u, bool with_scale) const;

  Shape shape_;
  nets::Parameters params_;
  double transport_flop_ = 0;
};

}  // namespace hebm::vae
