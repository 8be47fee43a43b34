// Transport, its inverse and its density (Eq. 15, 16), and the posterior, on small nets in float64.
#include "vae/hvae.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <numbers>
#include <tuple>
#include "../nets/support.h"
#include "base/random.h"
#include "jacobian.h"

namespace hebm::vae {
namespace {

using test::largest_difference;
using test::log_abs_determinant;
using test::random_tensor;
using test::values_of;

constexpr double kHalfLog2Pi = 0.5 * 1.8378770664093453;

HvaeOptions small_options(const std::string& latents) {
  HvaeOptions options;
  options.latents = latents;
  options.width = options.image_width = options.pixel_width = options.top_width = 4;
  return options;
}

// Weights three times the usual, so that mu, sigma and the residuals are far from 0 and 1.
Hvae make_small(const std::string& latents, std::int64_t side, HvaeLikelihood likelihood = HvaeLikelihood::kBernoulli,
    ImageFrom image_from = ImageFrom::kBottom, bool image_sees_z = true) {
  HvaeOptions options = small_options(latents);
  options.likelihood = likelihood;
  options.image_from = image_from;
  options.image_sees_z = image_sees_z;
  return Hvae(options, {1, side, side}, {.seed = 11, .dtype = at::kDouble});
}

void enlarge(Hvae& net, double factor) { net.params().flat().mul_(factor); }

at::Tensor normal_tensor(std::vector<std::int64_t> shape, std::uint32_t item) {
  at::Tensor out = at::zeros(shape, at::kFloat);
  fill_normal(
      {out.mutable_data_ptr<float>(), static_cast<std::size_t>(out.numel())}, {9, 0, Purpose::kTest}, {.item = item});
  return out.to(at::kDouble);
}

at::Tensor images(std::int64_t count, std::int64_t side) {
  return (random_tensor({count, 1, side, side}, 3) + 1.0) * 0.5;
}

class Layers : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Shapes, Layers, ::testing::Values("3x2", "2x1,3x2", "2x1,2x1,3x2,1x4,2x4"));

TEST_P(Layers, InverseUndoesTransportToRounding) {
  Hvae net = make_small(GetParam(), 16);
  enlarge(net, 3.0);
  const c10::NoGradGuard no_grad;
  const at::Tensor u = normal_tensor({7, net.dim()}, 1);
  EXPECT_LT(largest_difference(net.inverse(net.transport(u)), u), 1e-12);
  const auto z = net.transport(u);
  ASSERT_EQ(z.size(), net.groups().size());
  for (std::size_t i = 0; i < z.size(); ++i) {
    const auto& g = net.groups()[i];
    EXPECT_EQ(z[i].sizes().vec(), (std::vector<std::int64_t>{7, g.channels, g.height, g.width}));
  }
  EXPECT_TRUE(z[0].flatten(1).equal(u.narrow(1, 0, net.groups()[0].size())));  // Eq. 15: the top layer is u itself
  for (std::size_t i = 1; i < z.size(); ++i)
    EXPECT_GT(largest_difference(z[i].flatten(1), split_layers(u, net.groups())[i].flatten(1)), 0.1);
}

TEST_P(Layers, PosteriorGivesZAndUOfOneDraw) {
  for (const ImageFrom image_from : {ImageFrom::kBottom, ImageFrom::kState}) {
    Hvae net = make_small(GetParam(), 16, HvaeLikelihood::kBernoulli, image_from);
    enlarge(net, 2.0);
    const c10::NoGradGuard no_grad;
    const auto q = net.posterior(images(3, 16), normal_tensor({3, net.dim()}, 2));
    EXPECT_LT(largest_difference(net.inverse(q.z), q.u), 1e-12);
    const auto z = net.transport(q.u);
    for (std::size_t i = 0; i < z.size(); ++i) EXPECT_LT(largest_difference(z[i], q.z[i]), 1e-12);
    EXPECT_LT(largest_difference(net.decode_posterior(q), net.decode(q.u, 1.0)), 1e-11);
    EXPECT_EQ(net.decode(q.u, 1.0).sizes().vec(), (std::vector<std::int64_t>{3, 1, 16, 16}));
    EXPECT_LT(largest_difference(net.decode(q.u, 0.5), net.decode(0.5 * q.u, 1.0)), 1e-12);
  }
}

// d transport / du in one direction. The step's error is h^2 / 6 |f'''| + eps |f| / h: with h =
// 1e-5, values of some tens and third derivatives of some hundreds both stay below 1e-8.
TEST_P(Layers, GradientOfTransportAgainstCentralDifferences) {
  Hvae net = make_small(GetParam(), 16);
  enlarge(net, 2.0);
  const at::Tensor u = normal_tensor({2, net.dim()}, 4).requires_grad_(true);
  const at::Tensor direction = normal_tensor({2, net.dim()}, 5);
  const auto scalar = [&](const at::Tensor& at_u) {
    const Transported out = net.transport_with_scale(at_u);
    at::Tensor sum = 0.3 * out.log_sigma_sum.sum();
    for (std::size_t i = 0; i < out.z.size(); ++i) {
      sum = sum + (out.z[i] * random_tensor(out.z[i].sizes().vec(), 20 + static_cast<std::uint32_t>(i))).sum();
    }
    return sum;
  };
  const at::Tensor gradient = torch::autograd::grad({scalar(u)}, {u})[0];
  const c10::NoGradGuard no_grad;
  const double h = 1e-5;
  const double expected = ((scalar(u + h * direction) - scalar(u - h * direction)) / (2.0 * h)).item<double>();
  const double got = (gradient * direction).sum().item<double>();
  EXPECT_NEAR(got, expected, 1e-8 * std::max(1.0, std::fabs(expected)));
}

double normal_log_density(double x, double mu, double sigma) {
  const double y = (x - mu) / sigma;
  return -0.5 * y * y - std::log(sigma) - kHalfLog2Pi;
}

// Two layers of one number: p(z) = N(z_0; 0, 1) N(z_1; mu(z_0), sigma(z_0)^2); mu and sigma are
// read off z_1 at u_1 = 0 and 1.
TEST(Hvae, LogDensityOfALatentOfTwoNumbersInClosedForm) {
  Hvae net = make_small("1x1,1x1", 4);
  enlarge(net, 3.0);
  const c10::NoGradGuard no_grad;
  const auto z1_at = [&](double u0, double u1) {
    at::Tensor u = at::zeros({1, 2}, at::kDouble);
    u.mutable_data_ptr<double>()[0] = u0;
    u.mutable_data_ptr<double>()[1] = u1;
    return net.transport(u)[1].item<double>();
  };
  for (const double u0 : {-2.0, -0.3, 0.0, 1.7}) {
    const double u1 = 0.4 - u0, mu = z1_at(u0, 0.0), sigma = z1_at(u0, 1.0) - mu;
    at::Tensor u = at::zeros({1, 2}, at::kDouble);
    u.mutable_data_ptr<double>()[0] = u0;
    u.mutable_data_ptr<double>()[1] = u1;
    const double by_transport =
        -0.5 * (u0 * u0 + u1 * u1) - 2.0 * kHalfLog2Pi - net.transport_with_scale(u).log_sigma_sum.item<double>();
    EXPECT_NEAR(by_transport, normal_log_density(u0, 0.0, 1.0) + normal_log_density(z1_at(u0, u1), mu, sigma), 1e-12);
    EXPECT_GT(std::fabs(std::log(sigma)), 1e-3);  // or the test says nothing
  }
}

// Eq. 16 for three layers: the sum of log sigma is log |det dz/du|.
TEST(Hvae, LogSigmaSumIsTheLogDeterminantOfTheTransport) {
  Hvae net = make_small("2x1,1x2,2x2", 8);
  enlarge(net, 3.0);
  const c10::NoGradGuard no_grad;
  const at::Tensor u = normal_tensor({1, net.dim()}, 6);
  const auto d = static_cast<std::size_t>(net.dim());
  const double h = 1e-5;
  std::vector<std::vector<double>> jacobian(d, std::vector<double>(d));
  for (std::size_t e = 0; e < d; ++e) {
    at::Tensor up = u.clone(), down = u.clone();
    up.mutable_data_ptr<double>()[e] += h;
    down.mutable_data_ptr<double>()[e] -= h;
    const auto column = values_of((join_layers(net.transport(up)) - join_layers(net.transport(down))) / (2.0 * h));
    for (std::size_t r = 0; r < d; ++r) jacobian[r][e] = column[r];
  }
  EXPECT_NEAR(net.transport_with_scale(u).log_sigma_sum.item<double>(), log_abs_determinant(jacobian), 1e-7);
}

// KL of layer i, closed form, against the mean of log q - log p over draws, within five standard
// errors. The layers above are held.
TEST(Hvae, KlAgainstMonteCarlo) {
  Hvae net = make_small("2x1,2x2", 8);
  enlarge(net, 8.0);
  const c10::NoGradGuard no_grad;
  const std::int64_t count = 4000, top = net.groups()[0].size(), rest = net.dim() - top;
  const at::Tensor x = images(1, 8).expand({count, 1, 8, 8});
  const at::Tensor held = normal_tensor({1, top}, 7).expand({count, top});
  for (std::size_t layer = 0; layer < 2; ++layer) {
    const std::int64_t first = layer == 0 ? 0 : top, size = layer == 0 ? top : rest;
    const auto draw = [&](const at::Tensor& eps) {  // of this layer
      const at::Tensor zeros = at::zeros({count, rest}, at::kDouble);
      return net.posterior(x, layer == 0 ? join_layers({eps, zeros}) : join_layers({held, eps}));
    };
    const at::Tensor none = at::zeros({count, size}, at::kDouble);
    const at::Tensor mean = draw(none).u.narrow(1, first, size);  // residual mean
    const at::Tensor scale = draw(none + 1.0).u.narrow(1, first, size) - mean;
    const at::Tensor eps = normal_tensor({count, size}, 30 + static_cast<std::uint32_t>(layer));
    const auto q = draw(eps);
    const at::Tensor u = q.u.narrow(1, first, size);
    const at::Tensor log_ratio = (-0.5 * eps.square() - scale.log() + 0.5 * u.square()).sum(1);  // [count]
    const double standard_error = log_ratio.std().item<double>() / std::sqrt(static_cast<double>(count));
    EXPECT_NEAR(q.kl[layer][0].item<double>(), log_ratio.mean().item<double>(), 5.0 * standard_error) << layer;
    EXPECT_GT(q.kl[layer][0].item<double>(), 10.0 * standard_error);  // or the test says nothing
    // and the formula itself
    const at::Tensor closed = (0.5 * (mean.square() + scale.square() - 1.0) - scale.log()).sum(1);
    EXPECT_LT(largest_difference(q.kl[layer], closed), 1e-10);
  }
}

// Gradient of -ELBO to the weights, along a random direction and for one entry of every tensor.
// With h = 1e-6 the error of the step is eps |f| / h ~ 1e-16 * 1e2 / 1e-6 = 1e-8, plus h^2 |f'''| ~
// 1e-12 * 1e3.
TEST(Hvae, GradientOfTheElboAgainstCentralDifferences) {
  for (const auto& [likelihood, image_from, image_sees_z] :
      {std::tuple{HvaeLikelihood::kBernoulli, ImageFrom::kBottom, false},
          {HvaeLikelihood::kLogistic, ImageFrom::kState, false}, {HvaeLikelihood::kOneScale, ImageFrom::kBottom, true},
          {HvaeLikelihood::kOneScale, ImageFrom::kState, true}}) {
    Hvae net = make_small("2x1,2x2", 8, likelihood, image_from, image_sees_z);
    const at::Tensor x = images(2, 8), eps = normal_tensor({2, net.dim()}, 8);
    const auto loss = [&] {
      const Posterior q = net.posterior(x, eps);
      at::Tensor sum = -net.log_likelihood(net.decode_posterior(q), x).sum();
      for (const auto& kl : q.kl) sum = sum + 0.7 * kl.sum();
      return sum;
    };
    net.params().zero_grad();
    torch::autograd::backward({loss()}, {});
    const c10::NoGradGuard no_grad;
    const double h = 1e-6;
    const auto along = [&](const at::Tensor& direction) {
      const at::Tensor kept = net.params().flat().clone();
      net.params().flat().copy_(kept + h * direction);
      const double up = loss().item<double>();
      net.params().flat().copy_(kept - h * direction);
      const double down = loss().item<double>();
      net.params().flat().copy_(kept);
      return (up - down) / (2.0 * h);
    };
    const auto check_direction = [&](const at::Tensor& direction, const std::string& what) {
      const double expected = along(direction), got = (net.params().grad() * direction).sum().item<double>();
      EXPECT_NEAR(got, expected, 1e-5 * std::max(1.0, std::fabs(expected))) << name_of(likelihood) << ", " << what;
    };
    check_direction(random_tensor({net.params().size()}, 50), "all weights");
    std::int64_t at = 0;
    for (const auto& p : net.params().parameters()) {
      at::Tensor one = at::zeros_like(net.params().flat());
      one.mutable_data_ptr<double>()[at + p.tensor.numel() / 2] = 1.0;
      check_direction(one, p.name);
      at += p.tensor.numel();
    }
  }
}

class Forms : public ::testing::TestWithParam<std::tuple<ImageFrom, bool>> {};
INSTANTIATE_TEST_SUITE_P(OfTheDecoder, Forms,
    ::testing::Combine(::testing::Values(ImageFrom::kBottom, ImageFrom::kState), ::testing::Bool()));

at::Tensor weight_of(Hvae& net, const std::string& name) {
  for (const auto& p : net.params().parameters()) {
    if (p.name == name) return p.tensor;
  }
  fail(ExitCode::kRuntime, "no weight {}", name);
}

// mu and sigma of the bottom are made constant: the top reaches the image through s alone. Without
// from_z, the bottom reaches it as z alone.
TEST_P(Forms, TheImageSeesWhatTheFormSays) {
  const auto [image_from, image_sees_z] = GetParam();
  Hvae net = make_small("2x1,3x2", 8, HvaeLikelihood::kOneScale, image_from, image_sees_z);
  const c10::NoGradGuard no_grad;
  enlarge(net, 2.0);
  EXPECT_EQ(weight_of(net, "to_image.weight").size(1), image_sees_z ? 4 + 3 : 4);
  weight_of(net, "layer1.prior.weight").zero_();
  const std::int64_t top = net.groups()[0].size();
  const at::Tensor u = normal_tensor({1, net.dim()}, 8);
  at::Tensor of_top = u.clone(), of_bottom = u.clone();
  of_top.narrow(1, 0, top).add_(1.0);
  of_bottom.narrow(1, top, net.dim() - top).add_(1.0);
  const auto moves = [&](const at::Tensor& other) {
    return largest_difference(net.decode(other, 1.0), net.decode(u, 1.0)) > 1e-6;
  };
  EXPECT_EQ(moves(of_top), image_from == ImageFrom::kState);
  EXPECT_TRUE(moves(of_bottom));
  weight_of(net, "layer1.from_z.weight").zero_();
  EXPECT_EQ(moves(of_bottom), image_sees_z);
}

// Sides 8, 4, 2, 1 of the maps of 16 x 16 images: a quarter of the image's is 4.
TEST(Hvae, TheEncoderIsWiderBelowAQuarter) {
  HvaeOptions options = small_options("2x1,2x2,2x4");
  options.top_width = 6;
  Hvae net(options, {1, 16, 16}, {.seed = 1});
  for (const auto& [name, in, out] : {std::tuple{"encoder4.down", 4, 4}, {"encoder2.down", 4, 6},
           {"encoder1.down", 6, 6}, {"layer0.posterior", 6 + 4, 4}, {"layer2.posterior", 4 + 4, 4}}) {
    const at::Tensor weight = weight_of(net, std::string(name) + ".weight");
    EXPECT_EQ(weight.size(0), out) << name;
    EXPECT_EQ(weight.size(1), in) << name;
  }
}

// The sizes of the recipe (docs/method.md).
TEST(Hvae, TheDefaultHasTheRecipesParameters) {
  const Hvae net(HvaeOptions{}, {1, 32, 32}, {.seed = 1});
  EXPECT_EQ(net.params().size(), 963109);
  EXPECT_EQ(net.dim(), 832);
}

// What the decoder gives is a mean a colour, then the same log scale for every pixel.
TEST(Hvae, OneScaleIsEveryPixels) {
  Hvae net = make_small("2x1,2x2", 8, HvaeLikelihood::kOneScale);
  const c10::NoGradGuard no_grad;
  const auto& last = net.params().parameters().back();
  ASSERT_EQ(last.name, "log_scale");
  const at::Tensor u = normal_tensor({2, net.dim()}, 8), before = net.decode(u, 1.0);
  EXPECT_EQ(before.size(1), 2);
  EXPECT_TRUE((before.narrow(1, 1, 1) == -2.5).all().item<bool>());
  last.tensor.fill_(-1.25);
  const at::Tensor after = net.decode(u, 1.0);
  EXPECT_TRUE((after.narrow(1, 1, 1) == -1.25).all().item<bool>());
  EXPECT_TRUE(after.narrow(1, 0, 1).equal(before.narrow(1, 0, 1)));
  EXPECT_TRUE(net.mean_image(after).equal(net.mean_image(before)));
}

TEST_P(Forms, EveryWeightIsUsed) {
  const auto [image_from, image_sees_z] = GetParam();
  Hvae net = make_small("2x1,2x2,1x2", 8, HvaeLikelihood::kOneScale, image_from, image_sees_z);
  const at::Tensor x = images(4, 8);
  const Posterior q = net.posterior(x, normal_tensor({4, net.dim()}, 8));
  at::Tensor loss = -net.log_likelihood(net.decode_posterior(q), x).sum();
  for (const auto& kl : q.kl) loss = loss + kl.sum();
  torch::autograd::backward({loss}, {});
  for (const auto& p : net.params().parameters()) EXPECT_GT(p.tensor.grad().abs().max().item<double>(), 0.0) << p.name;
}

TEST(Hvae, StepCostOfTheDefaultIsWithinTheBudget) {
  const Hvae net(HvaeOptions{}, {1, 32, 32}, {.seed = 1});
  EXPECT_GT(net.transport_flop(), 1e5);
  EXPECT_LT(3.0 * net.transport_flop(), 30e6);  // forward and backward to u; the energy nets come on top
}

}  // namespace
}  // namespace hebm::vae
