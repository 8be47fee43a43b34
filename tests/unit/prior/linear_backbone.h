// A linear two-layer generator as a backbone, z_1 = u_1, z_2 = c u_1 + d u_2, one number a layer:
// whatever a prior does to it has a closed form.
#pragma once
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <array>
#include <cmath>
#include <vector>
#include "base/error.h"
#include "prior/energy_net.h"
#include "vae/backbone.h"

namespace hebm::test {

// It has no images, and of its layers only what transport() gives.
class LinearBackbone final : public vae::Backbone {
 public:
  static constexpr double c = 0.8, d = 0.6;
  LinearBackbone() : Backbone({{}, {}, {{1, 1, 1}, {1, 1, 1}}}, nets::Parameters(0, 0)) { params().flatten(); }
  std::vector<at::Tensor> transport(const at::Tensor& u, nets::Precision = nets::Precision::kFloat32) const override {
    const at::Tensor u1 = u.narrow(1, 0, 1), u2 = u.narrow(1, 1, 1);
    return {u1.view({-1, 1, 1, 1}), (c * u1 + d * u2).view({-1, 1, 1, 1})};
  }
  std::string architecture() const override { return "{}"; }
 private:
  const vae::TopDownLayers& layers() const override {
    fail(ExitCode::kRuntime, "the linear backbone has transport() alone");
  }
};

// Its latents (u_1, u_2) as a two-dimensional normal.
struct TwoNormals {
  double mean1 = 0, mean2 = 0;
  double v11 = 1, v12 = 0, v22 = 1;  // covariance
  // From independent standard normals of any shape.
  std::array<at::Tensor, 2> draw(const at::Tensor& n1, const at::Tensor& n2) const {
    const double l11 = std::sqrt(v11), l21 = v12 / l11, l22 = std::sqrt(v22 - l21 * l21);
    return {mean1 + l11 * n1, mean2 + l21 * n1 + l22 * n2};
  }
};

// Eq. 8 with F = sum_i a_i z_i + b_i z_i^2 is normal with precision P = I - 2 (b_1 e e^T + b_2 w
// w^T), w = (c, d), and mean P^-1 (a_1 e + a_2 w).
constexpr TwoNormals tilted(double a1, double b1, double a2, double b2) {
  constexpr double c = LinearBackbone::c, d = LinearBackbone::d;
  const double p11 = 1 - 2 * (b1 + b2 * c * c), p12 = -2 * b2 * c * d, p22 = 1 - 2 * b2 * d * d,
               det = p11 * p22 - p12 * p12;
  const double v11 = p22 / det, v12 = -p12 / det, v22 = p11 / det;
  return {v11 * (a1 + a2 * c) + v12 * a2 * d, v12 * (a1 + a2 * c) + v22 * a2 * d, v11, v12, v22};
}

// For nets of one number in.
inline prior::EnergyOptions plain_nets(std::int64_t width) {
  prior::EnergyOptions o;
  o.width = width;
  o.spectral_norm = false;
  return o;
}

// Nets of one number in that are linear: SiLU(x + 50) = x + 50 to the last bit of float32, the
// residual layer has weight 0, and the last one reads the first unit times `slope`. So log r_i =
// slope z_i + constant.
inline void make_linear(prior::EnergyNet& net, double slope) {
  const c10::NoGradGuard no_grad;
  for (const auto& p : net.params().parameters()) {
    p.tensor.zero_();
    if (p.name == "dense0.weight_orig" || p.name == "dense2.weight_orig") p.tensor[0][0].fill_(1.0);
    if (p.name == "dense0.bias") p.tensor[0].fill_(50.0);
    if (p.name == "out.weight_orig") p.tensor[0][0].fill_(slope);
  }
}

}  // namespace hebm::test
