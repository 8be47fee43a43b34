#include "nets/spectral.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_svdvals.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "../nets/support.h"

namespace hebm::nets {
namespace {

using test::values_of;

// W = [[1, 2, 2], [0, 3, 4]], u = (0.6, 0.8); W W^T = [[9, 14], [14, 25]].
struct ByHand {
  Parameters params{1, 0, at::kDouble};
  SpectralWeight w;
  ByHand() {
    w = make_spectral(params, "fc", {2, 3});
    params.flatten();
    params.flat().copy_(test::numbers({1.0, 2.0, 2.0, 0.0, 3.0, 4.0}));
    at::Tensor u = w.u, v = w.v;
    u.copy_(test::numbers({0.6, 0.8}));
    v.copy_(test::numbers({0.0, 0.6, 0.8}));
  }
};

TEST(Spectral, OneIterationByHand) {
  ByHand hand;
  hand.w.iterate(1);
  const double n = std::sqrt(0.36 + 12.96 + 19.36);       // W^T u = (0.6, 3.6, 4.4)
  const double m = std::sqrt(16.6 * 16.6 + 28.4 * 28.4);  // n W v = (16.6, 28.4)
  const std::vector<double> v = {0.6 / n, 3.6 / n, 4.4 / n}, u = {16.6 / m, 28.4 / m};
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(values_of(hand.w.v)[i], v[i], 1e-14);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(values_of(hand.w.u)[i], u[i], 1e-14);
  const double sigma = m / n;  // u^T W v
  EXPECT_LT(test::largest_difference(hand.w.effective(), hand.w.weight / sigma), 1e-14);
}

TEST(Spectral, EffectiveUsesTheStoredPairAsItIs) {
  ByHand hand;  // u^T W v = 0.6 * 2.8 + 0.8 * 5 = 5.68, by the recorded vectors and not the largest singular value
  EXPECT_LT(test::largest_difference(hand.w.effective(), hand.w.weight / 5.68), 1e-14);
}

TEST(Spectral, ConvergesToTheLargestSingularValue) {
  ByHand hand;
  hand.w.iterate(50);
  const double sigma = std::sqrt(17.0 + std::sqrt(260.0));  // of W W^T: trace 34, determinant 29
  EXPECT_NEAR(values_of(hand.w.weight / hand.w.effective())[1], sigma, 1e-12);
}

TEST(Spectral, GradientGoesThroughSigma) {
  ByHand hand;
  const at::Tensor c = test::numbers({0.3, -1.0, 0.7, 0.2, 0.5, -0.4}).reshape({2, 3});
  torch::autograd::backward({(c * hand.w.effective()).sum()}, {});
  const double sigma = 5.68;
  const at::Tensor outer = hand.w.u.unsqueeze(1) * hand.w.v.unsqueeze(0);
  const at::Tensor expected = (c - (c * hand.w.weight.detach()).sum() / sigma * outer) / sigma;  // quotient rule
  EXPECT_LT(test::largest_difference(hand.params.grad().reshape({2, 3}), expected), 1e-14);
}

TEST(Spectral, VectorsAreUnitAndAreState) {
  Parameters params(3, 0);
  const SpectralWeight w = make_spectral(params, "conv", {8, 4, 3, 3});
  params.flatten();
  ASSERT_EQ(params.states().size(), 2u);
  EXPECT_EQ(params.states()[0].name, "conv.weight_u");
  EXPECT_EQ(params.states()[1].name, "conv.weight_v");
  EXPECT_EQ(params.size(), 8 * 36);
  EXPECT_NEAR(w.u.norm().item<double>(), 1.0, 1e-6);
  EXPECT_NEAR(w.v.norm().item<double>(), 1.0, 1e-6);
  EXPECT_EQ(w.effective().sizes(), w.weight.sizes());
}

TEST(Spectral, AZeroMatrixStaysFinite) {
  ByHand hand;
  hand.params.flat().zero_();
  hand.w.iterate(3);
  EXPECT_EQ(hand.w.u.norm().item<double>(), 0.0);
}

at::Tensor normals(at::IntArrayRef shape, std::uint32_t item) {
  const at::Tensor out = at::empty(shape, at::kFloat);
  fill_normal({out.data_ptr<float>(), static_cast<std::size_t>(out.numel())}, {2, 0, Purpose::kTest}, {.item = item});
  return out.to(at::kDouble);
}

// Two shapes, mixed; two of them with an equal matrix shape but other kernels.
std::vector<at::Tensor> make_weights() {
  return {normals({6, 4, 1, 1}, 1), normals({3, 2, 3, 3}, 2), normals({6, 1, 2, 2}, 3), normals({3, 18, 1, 1}, 4)};
}

double exact(const std::vector<at::Tensor>& weights) {
  double sum = 0;
  for (const auto& w : weights) sum += at::linalg_svdvals(w.flatten(1)).max().item<double>();
  return sum;
}

TEST(SpectralPenalty, ConvergesToTheLargestSingularValues) {
  const auto weights = make_weights();
  SpectralPenalty penalty(weights, 7);
  EXPECT_EQ(penalty.state("s").size(), 4u);  // two matrix shapes: [6, 4] and [3, 18]
  EXPECT_EQ(penalty.state("s")[0].name, "s.u.0");
  EXPECT_EQ(penalty.state("s")[3].tensor.sizes(), (std::vector<std::int64_t>{2, 18, 1}));
  penalty.iterate(weights, 400);
  EXPECT_NEAR(penalty.value(weights).item<double>(), exact(weights), 1e-9);
}

// At the singular vectors d sigma / dW = u v^T is the derivative of the largest singular value
// itself.
TEST(SpectralPenalty, GradientEqualsFiniteDifferencesOfTheSingularValue) {
  auto weights = make_weights();
  for (auto& w : weights) w.requires_grad_(true);
  SpectralPenalty penalty(weights, 7);
  penalty.iterate(weights, 400);
  torch::autograd::backward({penalty.value(weights)}, {});
  const double h = 1e-5;  // error of the central difference about h^2, of rounding 1e-15 / h
  for (const auto& w : weights) {
    const at::Tensor direction = normals(w.sizes(), 9);
    const double slope = (w.grad() * direction).sum().item<double>();
    const double up = at::linalg_svdvals((w.detach() + h * direction).flatten(1)).max().item<double>();
    const double down = at::linalg_svdvals((w.detach() - h * direction).flatten(1)).max().item<double>();
    EXPECT_NEAR(slope, (up - down) / (2 * h), 1e-7);
  }
}

TEST(SpectralPenalty, StateDependsOnTheSeedAndContinues) {
  const auto weights = make_weights();
  SpectralPenalty a(weights, 7), b(weights, 8);
  EXPECT_NE(a.value(weights).item<double>(), b.value(weights).item<double>());
  a.iterate(weights, 3);
  const auto from = a.state(""), to = b.state("");
  for (std::size_t i = 0; i < from.size(); ++i) to[i].tensor.copy_(from[i].tensor);
  a.iterate(weights, 4);
  b.iterate(weights, 4);
  EXPECT_EQ(a.value(weights).item<double>(), b.value(weights).item<double>());
}

}  // namespace
}  // namespace hebm::nets
