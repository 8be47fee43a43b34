// The latent layers of a backbone from the top down, i = 0 (the paper's z_L) first:
//   z_i = mu_i(z_<i) + sigma_i(z_<i) u_i,   z_0 = top_sigma u_0   (Eq. 15).
// A backbone gives what one layer does; the recursion and the transport u -> z stand here, once.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <vector>

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
  at::Tensor s{};   // for absorb(), where it is not to read the s given
};

// What the layers of one net do. The state s [B, C, h, w] carries z_<i down.
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

// z_of(i, s) gives z_i of the state that layer i reads, and may replace that. Returns s behind the
// last layer, or in front of its z where only z is wanted.
enum class Last { kEntered, kAbsorbed };
template <class Draw> at::Tensor descend(
    const TopDownLayers& layers, std::size_t num_layers, std::int64_t count, Last last, const Draw& z_of) {
  at::Tensor s = layers.start(count);
  for (std::size_t i = 0; i < num_layers; ++i) {
    s = layers.enter(i, s);
    const at::Tensor z = z_of(i, s);
    if (last == Last::kAbsorbed || i + 1 < num_layers) s = layers.absorb(i, s, z);
  }
  return s;
}

inline at::Tensor times(double factor, const at::Tensor& x) { return factor == 1.0 ? x : factor * x; }

// T_beta: u [L] of [B, c, h, w] -> z, the same.
inline std::vector<at::Tensor> transport(
    const TopDownLayers& layers, const std::vector<at::Tensor>& u, double top_sigma) {
  std::vector<at::Tensor> z;
  descend(layers, u.size(), u[0].size(0), Last::kEntered, [&](std::size_t i, const at::Tensor& s) {
    if (i == 0) return z.emplace_back(times(top_sigma, u[0]));
    const LayerNormal p = layers.prior(i, s);
    return z.emplace_back(p.mu + p.sigma * u[i]);
  });
  return z;
}

}  // namespace hebm::vae
