// Convolution by a matrix product against torch's in float64: values and both gradients, at
// borders, odd sides, strides.
#include "nets/pixel_conv.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <torch/csrc/autograd/autograd.h>
#include "../nets/support.h"

namespace hebm::nets {
namespace {

using test::random_tensor;

struct Case {
  std::int64_t height, width, in, out;
  ConvShape shape;
};
const std::vector<Case> kCases = {
    {4, 4, 3, 5, {3, 1, 1}},  // the whole kernel at few places
    {1, 2, 2, 3, {3, 1, 1}},  // smaller than the kernel
    {8, 6, 4, 2, {4, 2, 1}},  // the halving of the paper's nets
    {7, 5, 1, 4, {4, 2, 1}},  // odd: the last column is not read by all
    {6, 9, 2, 2, {5, 3, 2}},
    {5, 5, 3, 2, {1, 1, 0}},
};

at::Tensor truth(const at::Tensor& x, const at::Tensor& weight, const ConvShape& s) {
  return at::conv2d(x.permute({0, 3, 1, 2}), weight, {}, {s.stride, s.stride}, {s.padding, s.padding})
      .permute({0, 2, 3, 1});
}

double distance(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(PixelConv, ValuesAndGradientsAreThoseOfADirectConvolution) {
  for (const Case& c : kCases) {
    const at::Tensor x = random_tensor({3, c.height, c.width, c.in}, 1).requires_grad_(true);
    const at::Tensor weight = random_tensor({c.out, c.in, c.shape.kernel, c.shape.kernel}, 2).requires_grad_(true);
    const at::Tensor y = conv_pixels(x, conv_matrix(weight), c.shape), expected = truth(x, weight, c.shape);
    ASSERT_EQ(y.sizes(), expected.sizes());
    // At most 100 products of values below 6, in float64: 100 * 36 * 2^-53 < 5e-13.
    EXPECT_LT(distance(y, expected), 5e-13);
    const at::Tensor seed = random_tensor(y.sizes().vec(), 3);
    const auto got = torch::autograd::grad({(y * seed).sum()}, {x, weight});
    const auto want = torch::autograd::grad({(expected * seed).sum()}, {x, weight});
    EXPECT_LT(distance(got[0], want[0]), 5e-13) << c.height << " x " << c.width << ", kernel " << c.shape.kernel;
    EXPECT_LT(distance(got[1], want[1]), 5e-13) << c.height << " x " << c.width << ", kernel " << c.shape.kernel;
  }
}

TEST(PixelConv, Float32IsTheSameToRounding) {
  const at::Tensor x = random_tensor({2, 8, 8, 6}, 1, at::kFloat).requires_grad_(true),
                   weight = random_tensor({4, 6, 4, 4}, 2, at::kFloat);
  const at::Tensor y = conv_pixels(x, conv_matrix(weight), {4, 2, 1});
  // 96 products: 96 * 2^-24 of the sum of their absolute values.
  const at::Tensor bound =
      96 * 5.97e-8 * truth(x.detach().abs().to(at::kDouble), weight.abs().to(at::kDouble), {4, 2, 1});
  const at::Tensor error =
      (y.detach().to(at::kDouble) - truth(x.detach().to(at::kDouble), weight.to(at::kDouble), {4, 2, 1})).abs();
  EXPECT_LE((error / bound).max().item<double>(), 1.0);
  EXPECT_EQ(torch::autograd::grad({y.sum()}, {x})[0].scalar_type(), at::kFloat);
}

TEST(PixelConv, AnInputThatIsAViewIsTakenByItsValues) {
  const at::Tensor z = random_tensor({2, 3, 4, 4}, 1), weight = random_tensor({2, 3, 3, 3}, 2);
  const at::Tensor view = z.permute({0, 2, 3, 1});
  EXPECT_LT(distance(conv_pixels(view, conv_matrix(weight), {}), truth(view, weight, {})), 5e-13);
}

TEST(PixelConv, ShapesThatDoNotFitAreRefused) {
  const at::Tensor x = random_tensor({1, 4, 4, 3}, 1), matrix = conv_matrix(random_tensor({2, 3, 3, 3}, 2));
  test::expect_error(ExitCode::kRuntime, {"4x4 of [B, 4, 4, 3]", "27 rows"}, [&] {
    conv_pixels(x, matrix, {4, 2, 1});
  });
  test::expect_error(ExitCode::kRuntime, {"27 rows"}, [&] { conv_pixels(x.narrow(1, 0, 1), matrix, {3, 1, 0}); });
  test::expect_error(ExitCode::kRuntime, {"27 rows"}, [&] { conv_pixels(x[0], matrix, {}); });
}

}  // namespace
}  // namespace hebm::nets
