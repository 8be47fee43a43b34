// The NCE prior (Sec. 2.2): classifiers against density ratios, and both samplers against the
// closed form of a linear tilt of a linear generator.
#include "prior/nce.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/special_ndtri.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <array>
#include <cmath>
#include "linear_backbone.h"
#include "noise.h"
#include "prior/forward_pair.h"
#include "prior/reverse_chain.h"

namespace hebm::prior {
namespace {

using test::LinearBackbone;
using test::make_linear;

// log N(z; m, v) / N(z; 0, 1) = a + b z + c z^2. Positives and negatives are the mid quantiles of
// both densities, so their means are integrals.
TEST(NceLoss, IsLeastAtTheLogDensityRatioOfTwoGaussians) {
  constexpr double m = 0.7, v = 0.6;
  constexpr std::int64_t kCount = 4000;
  const std::array<double, 3> truth = {-0.5 * std::log(v) - m * m / (2 * v), m / v, 0.5 - 1 / (2 * v)};
  const at::Tensor standard = at::special_ndtri((at::arange(kCount, at::kDouble) + 0.5) / static_cast<double>(kCount));
  const at::Tensor positive = m + std::sqrt(v) * standard;
  std::array<double, 3> theta{};
  for (int i = 0; i < 200; ++i) {
    const c10::AutoGradMode grad_on(true);
    std::vector<at::Tensor> p;
    for (const double value : theta) p.push_back(at::tensor(value, at::kDouble).requires_grad_(true));
    const auto logit = [&](const at::Tensor& z) { return p[0] + p[1] * z + p[2] * z.square(); };
    const auto gradient = torch::autograd::grad({nce_loss(logit(positive), logit(standard), kCount)}, p);
    for (std::size_t k = 0; k < 3; ++k) theta[k] -= 1.0 * gradient[k].item<double>();
  }
  for (std::size_t k = 0; k < 3; ++k)
    EXPECT_NEAR(theta[k], truth[k], 5e-3) << k;  // the outermost of 4,000 quantiles cut the integrals at 3.7 sigma
  // At no knowledge the loss of one positive and one negative is 2 log 2.
  EXPECT_NEAR(nce_loss(at::tensor(0.0), at::tensor(0.0), 1).item<double>(), 2 * std::log(2.0), 1e-6);
}

TEST(Contrast, ChangesOneLayerGivenThePosteriorsAboveIt) {
  const LinearBackbone backbone;
  ChainIds ids = chain_ids(3, 5, 40);
  ids.attempt = 2;
  const at::Tensor u0 = test::normal_rows(2, {9, 0, Purpose::kTest}, ids) + 2.0;
  for (std::int64_t layer : {0, 1}) {
    const at::Tensor z = contrast_layer(u0, static_cast<std::size_t>(layer), backbone, ids).view({2, 40});
    const at::Tensor truth = backbone.transport(u0)[static_cast<std::size_t>(layer)].view({40});
    const at::Tensor noise = Chains(ids, layer, at::kCPU).normals(Purpose::kContrast, 1).view({40});
    const at::Tensor negative = layer == 0 ? noise : LinearBackbone::c * u0.select(1, 0) + LinearBackbone::d * noise;
    EXPECT_TRUE(z[0].equal(truth)) << layer;
    EXPECT_LT((z[1] - negative).abs().max().item<float>(), 1e-6F) << layer;
  }
}

class Samplers : public ::testing::Test {
 protected:
  static constexpr double c = LinearBackbone::c, d = LinearBackbone::d, a1 = 0.9, a2 = -0.7;
  static constexpr std::int64_t kCount = 4000, kProposals = 100;
  Samplers() : prior_(test::plain_nets(4), backbone_.groups(), make_marginal_schedule(), 1) {
    at::set_num_threads(1);  // such small tensors are slower with several
    make_linear(prior_.bucket(0), a1);
    make_linear(prior_.bucket(1), a2);
    langevin_.steps = 60;
    langevin_.eta_marginal = 0.2;
  }
  ~Samplers() override { at::set_num_threads(num_threads_); }
  NceSampler sampler(std::int64_t proposals = kProposals) const { return {prior_, backbone_, proposals}; }
  ReverseChain chain() const { return {prior_, backbone_, langevin_, NetOutput::kLogit}; }
  // Means of u_1, u_2, and their variances, which the tilt leaves at 1. 4,000 draws: five standard
  // errors are 0.08 and 0.11.
  static void expect_moments(const at::Tensor& u, double mean1, double mean2, double bias) {
    const at::Tensor values = u.to(at::kDouble);
    const at::Tensor u1 = values.select(1, 0), u2 = values.select(1, 1);
    EXPECT_NEAR(u1.mean().item<double>(), mean1, 0.08 + bias);
    EXPECT_NEAR(u2.mean().item<double>(), mean2, 0.08 + bias);
    EXPECT_NEAR(u1.var().item<double>(), 1.0, 0.11 + bias);
    EXPECT_NEAR(u2.var().item<double>(), 1.0, 0.11 + bias);
    EXPECT_NEAR(((u1 - u1.mean()) * (u2 - u2.mean())).mean().item<double>(), 0.0, 0.08 + bias);
  }

  int num_threads_ = at::get_num_threads();
  LinearBackbone backbone_;
  EnergyPrior prior_;
  LangevinOptions langevin_;
};

// Top down, each conditional normalised: u_1 ~ N(a_1, 1); z_2 | z_1 ~ N(c z_1 + a_2 d^2, d^2), so
// u_2 ~ N(a_2 d, 1). M draws bias a mean by about (e^{a^2} - 1) a / M, 0.02 at most.
TEST_F(Samplers, ResamplingDrawsFromTheTiltedConditionals) {
  expect_moments(sampler().resample(chain_ids(4, 0, kCount)), a1, a2 * d, 0.02);
}

// All at once: p(u) exp(a_1 u_1 + a_2 (c u_1 + d u_2)), so u_1 ~ N(a_1 + a_2 c, 1): the layer below
// has its say. 60 steps of 0.1 leave e^-6 of the start.
TEST_F(Samplers, LangevinDrawsFromTheJointTilt) {
  expect_moments(chain().sample(chain_ids(4, 0, kCount)), a1 + a2 * c, a2 * d, 0.005);
}

TEST_F(Samplers, OneProposalIsTheGaussianPriorAndRowsDoNotDependOnTheirBatch) {
  expect_moments(sampler(1).resample(chain_ids(4, 0, kCount)), 0.0, 0.0, 0.0);
  const at::Tensor all = sampler(7).resample(chain_ids(4, 0, 12)), some = sampler(7).resample(chain_ids(4, 6, 6));
  EXPECT_TRUE(all.narrow(0, 6, 6).equal(some));
  EXPECT_FALSE(sampler(7).resample(chain_ids(5, 6, 6)).equal(some));
  EXPECT_TRUE(chain().sample(chain_ids(4, 0, 12)).narrow(0, 6, 6).equal(chain().sample(chain_ids(4, 6, 6))));
}

}  // namespace
}  // namespace hebm::prior
