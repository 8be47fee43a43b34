// A linear two-layer generator as a backbone, z_1 = u_1, z_2 = c u_1 + d u_2, one number a layer: whatever a prior does to it has a closed form.
#pragma once
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <vector>

#include "base/error.h"
#include "prior/energy_net.h"
#include "vae/backbone.h"

namespace hebm::test {

class LinearBackbone final : public vae::Backbone {
 public:
  static constexpr double c = 0.8, d = 0.6;
  LinearBackbone() : params_(0, 0) { params_.flatten(); }
  const std::vector<LatentShape>& groups() const override { return groups_; }
  std::vector<at::Tensor> transport(const at::Tensor& u) const override {
    const at::Tensor u1 = u.narrow(1, 0, 1), u2 = u.narrow(1, 1, 1);
    return {u1.view({-1, 1, 1, 1}), (c * u1 + d * u2).view({-1, 1, 1, 1})};
  }
  nets::Parameters& params() override { return params_; }
  const nets::Parameters& params() const override { return params_; }
  double transport_flop() const override { return 0; }
  std::string architecture() const override { return "{}"; }
  // It has no images.
  ImageShape image_shape() const override { return none(); }
  vae::Transported transport_with_scale(const at::Tensor&) const override { return none(); }
  at::Tensor inverse(const std::vector<at::Tensor>&) const override { return none(); }
  vae::Posterior posterior(const at::Tensor&, const at::Tensor&) const override { return none(); }
  at::Tensor decode(const at::Tensor&, double) const override { return none(); }
  at::Tensor decode_posterior(const vae::Posterior&) const override { return none(); }
  at::Tensor log_likelihood(const at::Tensor&, const at::Tensor&) const override { return none(); }
  at::Tensor mean_image(const at::Tensor&) const override { return none(); }
  at::Tensor sample_image(const at::Tensor&, const at::Tensor&) const override { return none(); }
  std::int64_t sample_channels() const override { return none(); }

 private:
  struct None {
    template <class T>
    operator T() const {  // NOLINT(google-explicit-constructor)
      fail(ExitCode::kRuntime, "the linear backbone has no images");
    }
  };
  static None none() { return {}; }

  std::vector<LatentShape> groups_ = {{1, 1, 1}, {1, 1, 1}};
  nets::Parameters params_;
};

// Nets of one number in that are linear: SiLU(x + 50) = x + 50 to the last bit of float32, the residual layer has weight 0, and the last one reads the first
// unit times `slope`. So log r_i = slope z_i + constant.
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
