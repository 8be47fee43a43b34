// The depthwise kernels against torch's convolution in float64, on every instruction set of this
// machine. Tolerances: a sum of n products in float32 is within n 2^-24 of the sum of their
// absolute values, and SiLU within 3e-7 of max(1, |x|).
#include "nets/depthwise.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <limits>
#include "../nets/support.h"

namespace hebm::nets {
namespace {

using test::random_tensor;

constexpr double kEps = 5.9604645e-8;  // 2^-24

class DepthwiseTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!isa_supported(GetParam())) GTEST_SKIP() << "not on this processor";
    at::set_num_threads(1);
  }
  void TearDown() override { at::set_num_threads(num_threads_); }
  int num_threads_ = at::get_num_threads();
};
INSTANTIATE_TEST_SUITE_P(
    Isa, DepthwiseTest, testing::Values(Isa::kPlain, Isa::kAvx2, Isa::kAvx512), [](const auto& isa) {
      return isa.param == Isa::kPlain ? "plain" : isa.param == Isa::kAvx2 ? "avx2" : "avx512";
    });

struct Case {
  at::Tensor weight, bias, in_bias, x;  // float32; x [B, H, W, C]
  Case(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels)
      : weight(random_tensor({channels, 1, 5, 5}, 1, at::kFloat)),
        bias(random_tensor({channels}, 2, at::kFloat)),
        in_bias(random_tensor({channels}, 3, at::kFloat)),
        x(4 * random_tensor({batch, height, width, channels}, 4, at::kFloat)) {}
};

// Channels last in, channels last out, float64.
at::Tensor reference(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::conv2d(x.to(at::kDouble).permute({0, 3, 1, 2}), weight.to(at::kDouble), bias.to(at::kDouble), {1, 1},
      {2, 2}, {1, 1}, weight.size(0))
      .permute({0, 2, 3, 1});
}

void expect_within(const at::Tensor& got, const at::Tensor& truth, const at::Tensor& bound) {
  ASSERT_EQ(got.sizes(), truth.sizes());
  const double worst = ((got.to(at::kDouble) - truth).abs() / bound).max().item<double>();
  EXPECT_LE(worst, 1.0) << "the error is so many times its bound";
}

const std::vector<std::array<std::int64_t, 4>>& shapes() {
  static const std::vector<std::array<std::int64_t, 4>> all = [] {
    std::vector<std::array<std::int64_t, 4>> out;
    for (std::int64_t side = 1; side <= 17; ++side) out.push_back({2, side, 18 - side, 1 + 11 * side % 40});
    for (const std::int64_t channels : {1, 4, 8, 15, 16, 17, 32, 33, 64, 65, 129, 200})
      out.push_back({1, 3, 6, channels});
    return out;
  }();
  return all;
}

TEST_P(DepthwiseTest, FusedSiluAndItsGradient) {
  for (const auto& [batch, height, width, channels] : shapes()) {
    SCOPED_TRACE(testing::Message() << batch << "x" << height << "x" << width << "x" << channels);
    const Case c(batch, height, width, channels);
    const at::Tensor g = random_tensor({batch, height, width, channels}, 5, at::kFloat);
    for (const bool biased : {true, false}) {
      const Depthwise layer = pack_depthwise(c.weight, c.bias, biased ? c.in_bias : at::Tensor());
      const at::Tensor leaf = c.x.to(at::kDouble).requires_grad_(true);
      const at::Tensor before = at::silu(biased ? leaf + c.in_bias : leaf), sum = reference(before, c.weight, c.bias),
                       truth = at::silu(sum);
      // Every slope of SiLU is within 1.1, its curvature within 0.5.
      const at::Tensor conv_bound = (26 * kEps + 3e-7) * reference(before.abs() + 1, c.weight.abs(), c.bias.abs());
      at::Tensor x = c.x.clone(), out = at::empty_like(x), slope = at::empty_like(x);
      depthwise_silu(layer, x, out, slope, GetParam());
      expect_within(out, truth, 1.1 * conv_bound + 3e-7 * (1 + sum.abs()));
      depthwise_silu_gradient(layer, g, x, slope, GetParam());
      const at::Tensor expected = torch::autograd::grad({truth}, {leaf}, {g.to(at::kDouble)})[0];
      const at::Tensor worst_slope = 0.5 * conv_bound + 1e-6 * (1 + sum.abs());  // of d out / d sum
      const at::Tensor turned = at::flip(c.weight.abs(), {2, 3}), none = at::zeros({channels});
      expect_within(x, expected,
          1.1 * reference(g.abs() * worst_slope, turned, none) + 4e-6 * reference(1.1 * g.abs(), turned, none));
    }
  }
}

// One pixel, the centre tap 1: out = SiLU(SiLU(x)), slopes SiLU'(x) and SiLU'(SiLU(x)).
TEST_P(DepthwiseTest, SiluOverTheWholeRange) {
  std::vector<double> values = {0.0, 1e-30, -1e-30, 1e-4, -1e-4, 86.0, -86.0, 88.0, -88.0, 1e4, -1e4, 1e30, -1e30};
  for (int i = -4000; i <= 4000; ++i) values.push_back(i * 0.01);
  const auto count = static_cast<std::int64_t>(values.size());
  at::Tensor weight = at::zeros({count, 1, 5, 5});
  weight.select(3, 2).select(2, 2).fill_(1.0);
  at::Tensor x = test::numbers(values).to(at::kFloat).reshape({1, 1, 1, count}), out = at::empty_like(x),
             slope = at::empty_like(x);
  const at::Tensor exact = x.to(at::kDouble), s = at::sigmoid(exact), once = exact * s, s2 = at::sigmoid(once);
  depthwise_silu(pack_depthwise(weight, {}), x, out, slope, GetParam());
  const at::Tensor scale = exact.abs() + 1;
  expect_within(out, once * s2, 1e-6 * scale);
  // 1 - s cancels where s is near 1: its error 2^-24 is multiplied by x, up to |x| = 17, where s is
  // 1 to rounding.
  expect_within(x, s * (1 + exact * (1 - s)), 2e-6 + 0 * scale);
  expect_within(slope, s2 * (1 + once * (1 - s2)), 2e-6 + 0 * scale);
}

TEST_P(DepthwiseTest, NanIsSeenWhereTheTapsReach) {
  const Case c(1, 9, 9, 20);
  at::Tensor x = c.x.clone();
  x.select(1, 4).select(1, 4).narrow(1, 3, 1).fill_(std::numeric_limits<double>::quiet_NaN());
  at::Tensor out = at::empty_like(x), slope = at::empty_like(x);
  depthwise_silu(pack_depthwise(c.weight, c.bias, c.in_bias), x, out, slope, GetParam());
  EXPECT_EQ(at::isnan(out).sum().item<std::int64_t>(), 25);
  EXPECT_EQ(at::isnan(out.select(3, 3).narrow(1, 2, 5).narrow(2, 2, 5)).sum().item<std::int64_t>(), 25);
  EXPECT_EQ(at::isnan(x).sum().item<std::int64_t>(), 1);
}

TEST_P(DepthwiseTest, BitsOfAnImageDoNotDependOnItsBatch) {
  const Case c(5, 7, 6, 40);
  const Depthwise layer = pack_depthwise(c.weight, c.bias);
  const auto run = [&](const at::Tensor& x) {
    at::Tensor slope = x.clone(), out = at::empty_like(x), out_slope = at::empty_like(x);
    depthwise_silu(layer, slope, out, out_slope, GetParam());
    depthwise_silu_gradient(layer, x, slope, out_slope, GetParam());
    return at::stack({out, slope});
  };
  const at::Tensor all = run(c.x);
  for (std::int64_t b = 0; b < 5; ++b) EXPECT_TRUE(run(c.x.narrow(0, b, 1).contiguous()).equal(all.narrow(1, b, 1)));
}

TEST(Depthwise, RefusesOtherShapes) {
  const Case c(1, 3, 3, 4);
  test::expect_error(ExitCode::kRuntime, {"[C, 1, 5, 5]"}, [&] { pack_depthwise(at::zeros({4, 1, 3, 3}), {}); });
  test::expect_error(
      ExitCode::kRuntime, {"bias of 3", "4 channels"}, [&] { pack_depthwise(c.weight, at::zeros({3})); });
  const Depthwise layer = pack_depthwise(c.weight, c.bias);
  const auto refused = [&](const char* part, const at::Tensor& in) {
    at::Tensor x = in, out = at::empty_like(in), slope = at::empty_like(in);
    test::expect_error(ExitCode::kRuntime, {part}, [&] { depthwise_silu(layer, x, out, slope); });
  };
  refused("[B, H, W, 4]", at::zeros({1, 4, 3, 3}));
  refused("contiguous", at::zeros({1, 4, 3, 3}).permute({0, 2, 3, 1}));
  refused("float32", at::zeros({1, 3, 3, 4}, at::kDouble));
}

}  // namespace
}  // namespace hebm::nets
