// The label term of the loss (Eq. 20) against its formula in float64.
#include "train/coupling.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <numeric>
#include "base/error.h"

namespace hebm::train {
namespace {

TEST(LabelTerm, LooksLabelsUpByImageNumber) {
  const LabelTerm term({{"kind", {"a", "b"}, {0}}, {"size", {"s", "m", "l"}, {0}}}, {{0, 1, 1}, {2, 0, 1}}, 1.0);
  const at::Tensor rows = term.of_images({2, 0});
  const std::vector<std::int64_t> want = {1, 1, 0, 2};
  EXPECT_TRUE(rows.flatten().equal(at::tensor(want, at::kLong)));
  EXPECT_THROW(LabelTerm({{"kind", {"a", "b"}, {0}}}, {{0, 2}}, 1.0), Error);
  EXPECT_THROW(LabelTerm({{"kind", {"a", "b"}, {0}}}, {}, 1.0), Error);
}

// Two layers give [2 B, 2] for one head; B = 2, of which image 1 is of another level (weight 0).
TEST(LabelTerm, IsContrastiveInTheLogSumExpPlusCrossEntropyOfThePositives) {
  constexpr double s2 = 0.3, weight = 0.7, row_weight = 5.0;
  constexpr std::int64_t batch = 6;
  const LabelTerm term({{"kind", {"a", "b"}, {0, 1}}}, {{1, 0}}, weight);
  const std::vector<double> top = {0.1, -0.2, 9, 9, 0.4, 0.3, 9, 9}, low = {0.05, 0.1, 9, 9, -0.1, 0.2, 9, 9};
  const std::vector<double> weights = {row_weight, 0.0};
  const auto tensor = [](const std::vector<double>& v) {
    return at::tensor(v, at::kDouble).view({4, 2}).requires_grad_(true);
  };
  const at::Tensor g0 = tensor(top), g1 = tensor(low);
  const auto heads = term.losses({g0, g1}, term.of_images({0, 1}), at::tensor(weights, at::kDouble), s2, batch);
  ASSERT_EQ(heads.size(), 1u);
  const double p0 = 0.15, p1 = -0.1, n0 = 0.3, n1 = 0.5;  // sums over the layers, of image 0
  const auto lse = [](double a, double b) { return s2 * std::log(std::exp(a / s2) + std::exp(b / s2)); };
  const double entropy = (lse(p0, p1) - p1) / s2;  // its label is 1
  EXPECT_NEAR(
      heads[0].loss.item<double>(), row_weight * (lse(n0, n1) - lse(p0, p1) + weight * s2 * entropy) / batch, 1e-13);
  EXPECT_NEAR(heads[0].positive[0].item<double>(), lse(p0, p1) / s2, 1e-13);
  EXPECT_NEAR(heads[0].negative[0].item<double>(), lse(n0, n1) / s2, 1e-13);
  EXPECT_NEAR(heads[0].cross_entropy[0].item<double>(), entropy, 1e-13);
  EXPECT_EQ(heads[0].hits[0].item<bool>(), false);
  const auto slopes = torch::autograd::grad({heads[0].loss}, {g0, g1});
  EXPECT_TRUE(slopes[0].equal(slopes[1])) << "layers add up";
  const double p = 1 / (1 + std::exp((p1 - p0) / s2)), n = 1 / (1 + std::exp((n1 - n0) / s2));
  // d/dg of -lse(+) + weight * s2 * entropy = -softmax + weight (softmax - onehot), of lse(-) =
  // softmax.
  EXPECT_NEAR(slopes[0][0][0].item<double>(), row_weight / batch * (-p + weight * p), 1e-13);
  EXPECT_NEAR(slopes[0][0][1].item<double>(), row_weight / batch * (-(1 - p) + weight * (1 - p - 1)), 1e-13);
  EXPECT_NEAR(slopes[0][2][0].item<double>(), row_weight / batch * n, 1e-13);
  EXPECT_EQ(slopes[0][1].abs().sum().item<double>(), 0.0) << "rows of other levels";
  EXPECT_EQ(slopes[0][3].abs().sum().item<double>(), 0.0);
}

}  // namespace
}  // namespace hebm::train
