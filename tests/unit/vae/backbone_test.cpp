// The recursion of Eq. 15 over a net of one number a layer, where all of it has a closed form:
// p(z_0) = N(0, 2^2), p(z_1 | z_0) = N(0.5 z_0, 3^2), q(u_i | x) = N(x, 0.1^2), logits 4 z_1.
#include "vae/backbone.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros.h>
#include <cmath>
#include "../nets/support.h"
#include "vae/hvae.h"
#include "vae/nvae.h"

namespace hebm::vae {
namespace {

using test::largest_difference;
using test::random_tensor;

nets::Parameters no_parameters() {
  nets::Parameters out(0, 0, at::kDouble);
  out.flatten();
  return out;
}

class TwoNumbers final : public Backbone, private TopDownLayers {
 public:
  TwoNumbers() : Backbone({{1, 1, 1}, {LikelihoodKind::kBernoulli}, {{1, 1, 1}, {1, 1, 1}}, 2.0}, no_parameters()) {}
  std::string architecture() const override { return "{}"; }
 private:
  const TopDownLayers& layers() const override { return *this; }
  at::Tensor start(std::int64_t count) const override { return at::zeros({count, 1, 1, 1}, at::kDouble); }
  at::Tensor enter(std::size_t, const at::Tensor& s) const override { return s; }
  LayerNormal prior(std::size_t i, const at::Tensor& s) const override {
    EXPECT_EQ(i, 1U);
    return {0.5 * s, at::full_like(s, 3.0), {}};
  }
  at::Tensor absorb(std::size_t, const at::Tensor&, const at::Tensor& z) const override { return z; }
  std::vector<at::Tensor> encode(const at::Tensor& x) const override { return {x, x}; }
  LayerDraw draw(std::size_t i, const at::Tensor& x, const at::Tensor& s, const at::Tensor& eps) const override {
    const at::Tensor u = x + 0.1 * eps;
    const double variance = 0.1 * 0.1;
    return {i == 0 ? 2.0 * u : 0.5 * s + 3.0 * u, u, 0.5 * (x * x + variance - 1.0) - std::log(0.1)};
  }
  at::Tensor image(const at::Tensor& s) const override { return 4.0 * s; }
};

struct TopDown : testing::Test {
  TwoNumbers net;
  at::Tensor u = random_tensor({5, 2}, 1);
  at::Tensor u0 = u.narrow(1, 0, 1), u1 = u.narrow(1, 1, 1);
};

TEST_F(TopDown, TransportItsScaleAndItsInverse) {
  const auto z = net.transport(u);
  ASSERT_EQ(z.size(), 2U);
  EXPECT_EQ(largest_difference(z[0].flatten(1), 2.0 * u0), 0.0);
  EXPECT_LT(largest_difference(z[1].flatten(1), u0 + 3.0 * u1), 1e-15);
  const Transported scaled = net.transport_with_scale(u);
  EXPECT_TRUE(scaled.z[1].equal(z[1]));
  EXPECT_LT(largest_difference(scaled.log_sigma_sum, at::full({5}, std::log(6.0), at::kDouble)), 1e-15);
  EXPECT_LT(largest_difference(net.inverse(z), u), 1e-15);
}

TEST_F(TopDown, TemperatureScalesEverySigma) {
  EXPECT_LT(largest_difference(net.decode(u, 1.0).flatten(1), 4.0 * (u0 + 3.0 * u1)), 1e-14);
  EXPECT_LT(largest_difference(net.decode(u, 0.5).flatten(1), 2.0 * (u0 + 3.0 * u1)), 1e-14);
}

TEST_F(TopDown, PosteriorDrawsFromTheTop) {
  const at::Tensor x = random_tensor({5, 1, 1, 1}, 2).abs();
  const Posterior q = net.posterior(x, u);
  EXPECT_LT(largest_difference(q.u, x.flatten(1) + 0.1 * u), 1e-15);
  const auto z = net.transport(q.u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_LT(largest_difference(q.z[i], z[i]), 1e-15);
    EXPECT_LT(largest_difference(q.kl[i], (0.5 * (x * x - 0.99) - std::log(0.1)).flatten()), 1e-14);
  }
  EXPECT_LT(largest_difference(net.decode_posterior(q), net.decode(q.u, 1.0)), 1e-14);
}

// What a training asks for: a backbone without batch norm has none.
TEST(BatchStatistics, IsOptional) {
  EXPECT_EQ(TwoNumbers().batch_statistics({}, 0), nullptr);
  EXPECT_EQ(Hvae(HvaeOptions{}, ImageShape{}).batch_statistics({}, 0), nullptr);
  NvaeOptions options;
  options.channels = 2;
  options.groups_per_scale = 2;
  options.latents = 1;
  options.preprocess_blocks = options.postprocess_blocks = 1;
  EXPECT_NE(Nvae(options, {1, 4, 4}, {.seed = 3}).batch_statistics({}, 0), nullptr);
}

}  // namespace
}  // namespace hebm::vae
