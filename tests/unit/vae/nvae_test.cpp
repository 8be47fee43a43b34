// NVAE as a whole on small nets in float64: transport, its inverse and density (Eq. 15, 16),
// posterior with and without flows.
#include "vae/nvae.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "../nets/support.h"
#include "base/random.h"
#include "jacobian.h"

namespace hebm::vae {
namespace {

using test::jacobian;
using test::largest_difference;
using test::log_abs_determinant;
using test::random_tensor;
using test::values_of;

at::Tensor normal_tensor(std::vector<std::int64_t> shape, std::uint32_t item) {
  at::Tensor out = at::zeros(shape, at::kFloat);
  fill_normal(
      {out.mutable_data_ptr<float>(), static_cast<std::size_t>(out.numel())}, {9, 0, Purpose::kTest}, {.item = item});
  return out.to(at::kDouble);
}

NvaeOptions small_options(std::int64_t scales, std::int64_t groups, std::int64_t flows, bool res_dist) {
  NvaeOptions o;
  o.channels = 4;
  o.scales = scales;
  o.groups_per_scale = groups;
  o.ada_groups = true;
  o.latents = 2;
  o.preprocess_blocks = o.postprocess_blocks = 1;
  o.flows = flows;
  o.res_dist = res_dist;
  return o;
}

// Weights moved so that mu, sigma and residuals are far from 0 and 1.
void shake(Nvae& net, double by) {
  const c10::NoGradGuard no_grad;
  std::uint32_t item = 200;
  for (const auto& p : net.params().parameters()) {
    at::Tensor t = p.tensor;
    t.add_(random_tensor(t.sizes().vec(), item++), by);
  }
  for (const auto& s : net.params().states()) {
    at::Tensor t = s.tensor;
    t.add_(random_tensor(t.sizes().vec(), item++), 0.3);
  }
}

struct Case {
  std::int64_t scales, groups, flows, side;
  bool res_dist;
};

class NvaeCase : public ::testing::TestWithParam<Case> {
 protected:
  Nvae net_{small_options(GetParam().scales, GetParam().groups, GetParam().flows, GetParam().res_dist),
      {1, GetParam().side, GetParam().side}, {.seed = 4, .dtype = at::kDouble}};
  void SetUp() override { shake(net_, 0.3); }
  at::Tensor images(std::int64_t count) const {
    return (random_tensor({count, 1, GetParam().side, GetParam().side}, 3) + 1.0) * 0.5;
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, NvaeCase,
    ::testing::Values(
        Case{1, 2, 0, 8, true}, Case{1, 3, 2, 8, true}, Case{3, 4, 1, 16, true}, Case{2, 2, 0, 8, false}));

TEST_P(NvaeCase, InverseUndoesTransportToRounding) {
  const c10::NoGradGuard no_grad;
  const at::Tensor u = normal_tensor({5, net_.dim()}, 1);
  const auto z = net_.transport(u);
  EXPECT_LT(largest_difference(net_.inverse(z), u), 1e-11);
  ASSERT_EQ(z.size(), net_.groups().size());
  for (std::size_t i = 0; i < z.size(); ++i) {
    const auto& g = net_.groups()[i];
    EXPECT_EQ(z[i].sizes().vec(), (std::vector<std::int64_t>{5, g.channels, g.height, g.width}));
    const at::Tensor own = split_layers(u, net_.groups())[i];
    if (i == 0) {
      EXPECT_LT(largest_difference(z[0], 1.01 * own), 1e-14);  // the top layer's sigma is exp(0) + 0.01
    } else {
      EXPECT_GT(largest_difference(z[i], own), 0.1);
    }
  }
}

TEST_P(NvaeCase, PosteriorGivesZAndUOfOneDraw) {
  const c10::NoGradGuard no_grad;
  const auto q = net_.posterior(images(3), normal_tensor({3, net_.dim()}, 2));
  EXPECT_LT(largest_difference(net_.inverse(q.z), q.u), 1e-10 * std::max(1.0, q.u.abs().max().item<double>()));
  const auto z = net_.transport(q.u);
  for (std::size_t i = 0; i < z.size(); ++i) EXPECT_LT(largest_difference(z[i], q.z[i]), 1e-10);
  EXPECT_LT(largest_difference(net_.decode_posterior(q), net_.decode(q.u, 1.0)), 1e-9);
  EXPECT_GT(largest_difference(q.u.select(0, 0), q.u.select(0, 1)), 0.1);
}

TEST_P(NvaeCase, TemperatureScalesEverySigma) {
  const c10::NoGradGuard no_grad;
  const at::Tensor u = normal_tensor({2, net_.dim()}, 3);
  EXPECT_LT(largest_difference(net_.decode(u, 0.6), net_.decode(0.6 * u, 1.0)), 1e-11);
  EXPECT_EQ(net_.decode(u, 1.0).sizes().vec(), (std::vector<std::int64_t>{2, 1, GetParam().side, GetParam().side}));
}

// Step h: error h^2 / 6 |f'''| + eps |f| / h, both below 1e-7 of the value for h = 1e-5.
TEST_P(NvaeCase, GradientOfTransportAgainstCentralDifferences) {
  const at::Tensor u = normal_tensor({2, net_.dim()}, 4).requires_grad_(true),
                   direction = normal_tensor({2, net_.dim()}, 5);
  const auto scalar = [&](const at::Tensor& at_u) {
    const Transported out = net_.transport_with_scale(at_u);
    at::Tensor sum = 0.3 * out.log_sigma_sum.sum();
    for (std::size_t i = 0; i < out.z.size(); ++i)
      sum = sum + (out.z[i] * random_tensor(out.z[i].sizes().vec(), 20 + static_cast<std::uint32_t>(i))).sum();
    return sum;
  };
  const at::Tensor gradient = torch::autograd::grad({scalar(u)}, {u})[0];
  const c10::NoGradGuard no_grad;
  const double h = 1e-5,
               expected = ((scalar(u + h * direction) - scalar(u - h * direction)) / (2.0 * h)).item<double>();
  EXPECT_NEAR((gradient * direction).sum().item<double>(), expected, 1e-6 * std::max(1.0, std::fabs(expected)));
}

// Eq. 16, the top layer's sigma included.
TEST(Nvae, LogSigmaSumIsTheLogDeterminantOfTheTransport) {
  Nvae net(small_options(1, 3, 0, true), {1, 8, 8}, {.seed = 4, .dtype = at::kDouble});
  shake(net, 0.3);
  const at::Tensor u = normal_tensor({1, net.dim()}, 6).requires_grad_(true);
  const Transported out = net.transport_with_scale(u);
  EXPECT_NEAR(out.log_sigma_sum.item<double>(), log_abs_determinant(jacobian(join_layers(out.z), u)), 1e-9);
}

// Sum of KL = log q(u | x) - log N(u; 0, I) at a draw, q by the change of variables from the noise:
// so the flow's terms, its zero log-determinant and the densities of every layer are right
// together. With flows the KL is that very estimate.
TEST(Nvae, KlWithFlowsIsTheLogRatioOfTheDraw) {
  Nvae net(small_options(1, 3, 2, true), {1, 8, 8}, {.seed = 4, .dtype = at::kDouble});
  shake(net, 0.3);
  const at::Tensor x = (random_tensor({1, 1, 8, 8}, 3) + 1.0) * 0.5;
  const at::Tensor eps = normal_tensor({1, net.dim()}, 7).requires_grad_(true);
  const auto q = net.posterior(x, eps);
  double kl = 0;
  for (const auto& layer : q.kl) kl += layer.item<double>();
  const double expected =
      0.5 * (q.u.square().sum() - eps.square().sum()).item<double>() - log_abs_determinant(jacobian(q.u, eps));
  EXPECT_NEAR(kl, expected, 1e-8 * std::max(1.0, std::fabs(expected)));
}

// Without flows: the closed form, against the mean of that log ratio over draws of the top layer
// within five standard errors.
TEST(Nvae, KlWithoutFlowsAgainstMonteCarlo) {
  Nvae net(small_options(1, 2, 0, true), {1, 8, 8}, {.seed = 4, .dtype = at::kDouble});
  shake(net, 0.3);
  const c10::NoGradGuard no_grad;
  const std::int64_t count = 4000, top = net.groups()[0].size();
  const at::Tensor x = ((random_tensor({1, 1, 8, 8}, 3) + 1.0) * 0.5).expand({count, 1, 8, 8});
  const at::Tensor eps = normal_tensor({count, net.dim()}, 8);
  const auto q = net.posterior(x, eps);
  const at::Tensor none = at::zeros({1, net.dim()}, at::kDouble);
  const auto mean = net.posterior(x.narrow(0, 0, 1), none).u.narrow(1, 0, top),
             one = net.posterior(x.narrow(0, 0, 1), none + 1.0).u.narrow(1, 0, top);
  const at::Tensor ratio =
      (0.5 * (q.u.narrow(1, 0, top).square() - eps.narrow(1, 0, top).square()) - (one - mean).log()).sum(1);  // [count]
  const double standard_error = ratio.std().item<double>() / std::sqrt(static_cast<double>(count));
  EXPECT_NEAR(q.kl[0][0].item<double>(), ratio.mean().item<double>(), 5.0 * standard_error);
  EXPECT_GT(q.kl[0][0].item<double>(), 10.0 * standard_error);  // or the test says nothing
}

// With res_dist off the posterior's raw values are the network's own, not added to the prior's.
TEST(Nvae, ResidualPosteriorIsAnOption) {
  const c10::NoGradGuard no_grad;
  Nvae with(small_options(1, 2, 0, true), {1, 8, 8}, {.seed = 4, .dtype = at::kDouble}),
      without(small_options(1, 2, 0, false), {1, 8, 8}, {.seed = 4, .dtype = at::kDouble});
  at::Tensor with_flat = with.params().flat(), without_flat = without.params().flat();
  shake(with, 0.3);
  without_flat.copy_(with_flat);
  for (std::size_t i = 0; i < with.params().states().size(); ++i) {
    at::Tensor t = without.params().states()[i].tensor;
    t.copy_(with.params().states()[i].tensor);
  }
  const at::Tensor x = (random_tensor({1, 1, 8, 8}, 3) + 1.0) * 0.5, eps = normal_tensor({1, with.dim()}, 7);
  const auto a = with.posterior(x, eps), b = without.posterior(x, eps);
  EXPECT_LT(largest_difference(a.z[0], b.z[0]), 1e-14);
  EXPECT_GT(largest_difference(a.z[1], b.z[1]), 0.01);
  for (const auto& p : with.params().parameters()) {  // prior's raw values 0: then both are one
    if (p.name.starts_with("dec_sampler.0.1.bias") || p.name.starts_with("dec_sampler.0.1.weight"))
      p.tensor.detach().zero_();
  }
  without_flat.copy_(with_flat);
  EXPECT_LT(largest_difference(with.posterior(x, eps).z[1], without.posterior(x, eps).z[1]), 1e-13);
}

// The pixels of the padding do not count, and the binarised images' likelihood is that of the 4 x 4
// inside.
TEST(Nvae, CropLeavesThePaddingOut) {
  NvaeOptions options = small_options(1, 2, 0, true);
  options.crop = 2;
  const Nvae net(options, {1, 8, 8}, {.seed = 4, .dtype = at::kDouble});
  const at::Tensor logits = random_tensor({1, 1, 8, 8}, 1), x = at::zeros({1, 1, 8, 8}, at::kDouble),
                   padded = x.clone();
  padded.select(2, 1).fill_(1.0);
  padded.select(3, 6).fill_(1.0);
  EXPECT_EQ(net.log_likelihood(logits, x).item<double>(), net.log_likelihood(logits, padded).item<double>());
  double expected = 0;
  for (const double l : values_of(logits.narrow(2, 2, 4).narrow(3, 2, 4))) expected -= std::log1p(std::exp(l));
  EXPECT_NEAR(net.log_likelihood(logits, x).item<double>(), expected, 1e-12);
}

TEST(Nvae, AnotherPassSeesEveryBatchNormAndConvolutionOfItsPath) {
  struct Counting : Pass {
    mutable std::vector<int> convs;
    mutable std::map<const void*, int> norms;  // by gamma
    at::Tensor norm(const BatchNorm& n, const at::Tensor& x, bool silu) const override {
      ++norms[n.gamma.unsafeGetTensorImpl()];
      return Pass::norm(n, x, silu);
    }
    at::Tensor conv(const NvaeConv& c, const at::Tensor& x) const override {
      ++convs.at(c.index);
      return Pass::conv(c, x);
    }
  };
  const Nvae net(small_options(2, 2, 1, true), {1, 8, 8}, {.seed = 4, .dtype = at::kDouble});
  const c10::NoGradGuard no_grad;
  Counting pass;
  pass.convs.assign(net.modules().convs().size(), 0);
  const NvaeRun run(net.parts(), pass);
  run.image(net.posterior(run, random_tensor({1, 1, 8, 8}, 3), normal_tensor({1, net.dim()}, 7)).state);
  EXPECT_EQ(pass.norms.size(), net.modules().norms().size());
  for (const auto& norm : net.modules().norms()) EXPECT_EQ(pass.norms[norm.gamma.unsafeGetTensorImpl()], 1);
  EXPECT_EQ(pass.convs, std::vector<int>(pass.convs.size(), 1));
}

// Multiply-adds counted by hand: one up cell, one cell a layer.
TEST(Nvae, TransportFlopByHand) {
  NvaeOptions options = small_options(1, 2, 0, true);
  options.use_se = false;
  const Nvae net(options, {1, 8, 8}, {.seed = 4});
  const double c = 8, side = 4 * 4, hidden = 6 * c, latents = 2;
  const double cell = 2 * c * hidden + 25 * hidden, prior = c * 2 * latents, combine = (c + latents) * c;
  EXPECT_EQ(net.transport_flop(), 2.0 * side * (cell + prior + combine));
}

}  // namespace
}  // namespace hebm::vae
