#include "nets/parameters.h"
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "../nets/support.h"

namespace hebm::nets {
namespace {

using test::expect_error;
using test::values_of;

TEST(Parameters, ViewsShareTheFlatBufferAndGradientsGatherInTheOther) {
  Parameters params(1, 0, at::kDouble);
  const at::Tensor a = params.add("a", {2}, Init::kOne);
  const at::Tensor b = params.add("b", {1, 2}, Init::kZero);
  params.flatten();
  ASSERT_EQ(params.size(), 4);
  params.flat().mul_(3.0);
  EXPECT_EQ(values_of(a), (std::vector<double>{3, 3}));
  torch::autograd::backward({(a * a).sum() + 5.0 * b.sum()}, {});
  torch::autograd::backward({b.sum()}, {});  // adds to what is there
  EXPECT_EQ(values_of(params.grad()), (std::vector<double>{6, 6, 6, 6}));
  params.zero_grad();
  EXPECT_EQ(values_of(a.grad()), (std::vector<double>{0, 0}));
}

TEST(Parameters, OnTheMetaDeviceShapesTakeNoMemory) {
  Parameters params(1, 0, at::kFloat, at::kMeta);
  const at::Tensor a = params.add("a", {1 << 20, 1 << 20}, Init::kUniformFanIn);  // 4 TiB
  params.add_state("s", {7}, Init::kOne);
  params.flatten();
  EXPECT_EQ(params.size(), std::int64_t{1} << 40);
  EXPECT_EQ(a.sizes().vec(), (std::vector<std::int64_t>{1 << 20, 1 << 20}));
}

// "cpu:0" is another name of the host, so that the move can be seen without a GPU.
TEST(Parameters, MoveWithTheirGradientsStatesAndConstants) {
  Parameters params(1, 0);
  const at::Tensor weight = params.add("w", {2, 3}, Init::kOne), state = params.add_state("u", {3}, Init::kNormal);
  const at::Tensor table = state.clone(), constant = params.add_constant(table);
  const auto drawn = values_of(state);
  expect_error(ExitCode::kRuntime, {"flatten"}, [&] { params.to(at::Device(at::kCPU, 0)); });
  params.flatten();
  const at::Device device(at::kCPU, 0);
  const at::Tensor flat_before = params.flat().clone();
  params.to(device);
  EXPECT_EQ(params.device(), device);
  EXPECT_TRUE(weight.is_leaf() && weight.requires_grad());
  EXPECT_TRUE(params.flat().equal(flat_before));
  params.flat().mul_(3.0);
  EXPECT_EQ(values_of(weight), std::vector<double>(6, 3.0)) << "layers still see the flat buffer";
  torch::autograd::backward({(weight * weight).sum()}, {});
  EXPECT_EQ(values_of(params.grad()), std::vector<double>(6, 6.0)) << "gradients still gather in one buffer";
  EXPECT_EQ(values_of(state), drawn);
  table.zero_();
  EXPECT_EQ(values_of(constant), drawn) << "constants are copies";
}

TEST(Parameters, UniformInitHasTheBoundsAndTheVarianceOfTheDefaultOfTorch) {
  Parameters params(5, 3);
  const at::Tensor w = params.add("w", {100, 20, 3, 3}, Init::kUniformFanIn);
  const double bound = 1.0 / std::sqrt(180.0);
  const auto values = values_of(w);
  double sum = 0, squares = 0, largest = 0;
  for (const double v : values) {
    sum += v;
    squares += v * v;
    largest = std::max(largest, std::fabs(v));
  }
  const auto n = static_cast<double>(values.size());
  EXPECT_LE(largest, bound);
  EXPECT_GT(largest, 0.999 * bound);
  const double variance = bound * bound / 3.0;
  EXPECT_LT(std::fabs(sum / n), 5.0 * std::sqrt(variance / n));
  EXPECT_NEAR(squares / n, variance, 5.0 * variance * std::sqrt(0.8 / n));  // Var(x^2) = 4/45 b^4 = 0.8 variance^2
}

TEST(Parameters, ValuesDependOnSeedStreamAndNumberOnly) {
  const auto draw = [](std::uint64_t seed, std::uint32_t stream, bool with_state) {
    Parameters params(seed, stream);
    if (with_state) params.add("first", {7}, Init::kNormal);
    return values_of(params.add("w", {4}, Init::kNormal));
  };
  EXPECT_EQ(draw(1, 2, false), draw(1, 2, false));
  EXPECT_NE(draw(1, 2, false), draw(2, 2, false));
  EXPECT_NE(draw(1, 2, false), draw(1, 3, false));
  EXPECT_NE(draw(1, 2, false), draw(1, 2, true));
}

TEST(Parameters, TooManyValuesAreRefusedBeforeTheyAreAllocated) {
  Parameters params(1, 0, at::kFloat, at::kCPU, 10);
  params.add("a", {2, 3}, Init::kZero);
  expect_error(ExitCode::kCorrupt, {"more than 10 values"}, [&] { params.add("b", {5}, Init::kZero); });
  expect_error(ExitCode::kCorrupt, {"values"}, [&] { params.add("c", {1ll << 40, 1ll << 40}, Init::kZero); });
  expect_error(ExitCode::kCorrupt, {"values"}, [&] { params.add("d", {-1}, Init::kZero); });
  params.add("e", {4}, Init::kZero);
}

TEST(Parameters, ViewsOfAnotherVectorHaveTheNamesAndShapes) {
  Parameters params(1, 0);
  params.add("a", {2}, Init::kZero);
  params.add("b", {2, 2}, Init::kZero);
  params.flatten();
  const auto views = params.views_of(test::random_tensor({6}, 1, at::kFloat), "ema.");
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[1].name, "ema.b");
  EXPECT_EQ(values_of(views[1].tensor)[0], values_of(test::random_tensor({6}, 1, at::kFloat))[2]);
  expect_error(ExitCode::kRuntime, {"5 elements for 6"}, [&] { params.views_of(test::random_tensor({5}, 1), ""); });
  expect_error(ExitCode::kRuntime, {"after flatten"}, [&] { params.add("c", {1}, Init::kZero); });
}

}  // namespace
}  // namespace hebm::nets
