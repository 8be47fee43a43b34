#include "nets/spectral_penalty.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_svdvals.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace hebm::nets {
namespace {

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
