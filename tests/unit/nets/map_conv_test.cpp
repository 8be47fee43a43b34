// Convolutions of small maps against torch's in float64: forward, to the map, to the weights.
// A sum of n products in float32 is within n 2^-24 of the sum of their absolute values; all values
// here are at most 1, so n 2^-24 sqrt(n) bounds what is seen with room to spare.
#include "nets/map_conv.h"
#include <ATen/ops/conv2d.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>
#include "support.h"

namespace hebm::nets {
namespace {

using test::largest_difference;
using test::random_tensor;

struct Case {
  MapShape in;
  std::int64_t out, kernel;
  MapConvForm form;
};

at::Tensor channels_last(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).to(at::kFloat).contiguous(); }
at::Tensor channels_first(const at::Tensor& x) { return x.permute({0, 3, 1, 2}); }

at::Tensor plain(const at::Tensor& x, const at::Tensor& weight, const MapConvForm& form) {
  const at::Tensor in = form.doubles ? at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}) : x;
  return at::conv2d(in, weight, {}, {form.stride, form.stride}, {form.padding, form.padding});
}

TEST(MapConv, EqualsTorchInFloat64) {
  constexpr std::int64_t kImages = 5;
  const std::vector<Case> cases = {{{8, 4, 4}, 64, 3, {}}, {{64, 4, 4}, 8, 3, {}}, {{32, 2, 2}, 32, 3, {}},
      {{16, 8, 8}, 16, 3, {}}, {{16, 2, 2}, 16, 3, {.doubles = true}}, {{32, 4, 4}, 32, 3, {.doubles = true}},
      {{64, 4, 4}, 64, 4, {.stride = 2}}, {{8, 8, 8}, 8, 4, {.stride = 2}}, {{4, 5, 3}, 4, 4, {.stride = 2}},
      {{3, 7, 1}, 5, 3, {}}, {{2, 6, 6}, 3, 1, {.padding = 0}}, {{4, 3, 3}, 4, 3, {.padding = 0}},
      {{4, 5, 5}, 4, 2, {.stride = 3, .padding = 0}}, {{1, 1, 1}, 1, 3, {}},
      {{4, 5, 5}, 4, 1, {.stride = 2, .padding = 0}}, {{4, 6, 6}, 4, 1, {.stride = 2, .padding = 0}},
      {{16, 5, 5}, 4, 1, {.stride = 2, .padding = 0}}, {{3, 7, 6}, 5, 1, {.stride = 3, .padding = 0}}};
  for (std::size_t k = 0; k < cases.size(); ++k) {
    SCOPED_TRACE(testing::Message() << "case " << k);
    const auto& [in, out, kernel, form] = cases[k];
    const auto item = static_cast<std::uint32_t>(10 * k);
    const at::Tensor x = random_tensor({kImages, in.channels, in.height, in.width}, item).requires_grad_(true);
    const at::Tensor weight = random_tensor({out, in.channels, kernel, kernel}, item + 1).requires_grad_(true);
    const at::Tensor truth = plain(x, weight, form);
    const at::Tensor gy = random_tensor(truth.sizes().vec(), item + 2);
    const auto grads = torch::autograd::grad({truth}, {x, weight}, {gy});
    const MapConv conv(weight.detach().to(at::kFloat), in, form);
    ASSERT_EQ(conv.out().channels, out);
    ASSERT_EQ(conv.out().height, truth.size(2));
    ASSERT_EQ(conv.out().width, truth.size(3));
    const auto bar = [](std::int64_t terms) {
      return 6e-8 * static_cast<double>(terms) * std::sqrt(static_cast<double>(terms));
    };
    const at::Tensor from = channels_last(x.detach()), of_y = channels_last(gy);
    at::Tensor y = at::zeros({kImages, truth.size(2), truth.size(3), out}, at::kFloat) - 7.0;
    conv.forward(from.const_data_ptr<float>(), y.mutable_data_ptr<float>(), kImages);
    EXPECT_LT(largest_difference(channels_first(y), truth), bar(in.channels * kernel * kernel));
    conv.forward(from.const_data_ptr<float>(), y.mutable_data_ptr<float>(), kImages, true);
    EXPECT_LT(largest_difference(channels_first(y), 2.0 * truth), 2 * bar(in.channels * kernel * kernel)) << "added";
    at::Tensor gx = at::zeros({kImages, in.height, in.width, in.channels}, at::kFloat) - 7.0;
    conv.reverse(of_y.const_data_ptr<float>(), gx.mutable_data_ptr<float>(), kImages);
    EXPECT_LT(largest_difference(channels_first(gx), grads[0]), bar(4 * out * kernel * kernel));
    const at::Tensor sum = conv.zero_weight() + 1.0;
    conv.add_weight_gradient(from.const_data_ptr<float>(), of_y.const_data_ptr<float>(), kImages, sum);
    EXPECT_LT(largest_difference(sum - 1.0, grads[1]), bar(4 * kImages * truth.size(2) * truth.size(3)));
  }
}

// Rounded values, whose products float32 holds exactly.
TEST(MapConv, InBfloat16TheSumsAreFloat32) {
  const MapShape in{16, 5, 4};
  const at::Tensor x = random_tensor({3, 16, 5, 4}, 1, at::kFloat),
                   weight = random_tensor({12, 16, 3, 3}, 2, at::kFloat);
  const auto rounded = [](const at::Tensor& t) { return t.to(at::kBFloat16).to(at::kDouble); };
  const at::Tensor leaf = rounded(x).requires_grad_(true), truth = plain(leaf, rounded(weight), {});
  const at::Tensor gy = random_tensor(truth.sizes().vec(), 3, at::kFloat);
  const at::Tensor gradient = torch::autograd::grad({truth}, {leaf}, {rounded(gy)})[0];
  const MapConv conv(weight, in, {}, at::kBFloat16);
  at::Tensor y = at::zeros({3, 5, 4, 12}, at::kFloat), gx = at::zeros({3, 5, 4, 16}, at::kFloat);
  conv.forward(channels_last(x).const_data_ptr<float>(), y.mutable_data_ptr<float>(), 3);
  conv.reverse(channels_last(gy).const_data_ptr<float>(), gx.mutable_data_ptr<float>(), 3);
  EXPECT_LT(largest_difference(channels_first(y), truth), 6e-8 * 144 * 12);
  EXPECT_LT(largest_difference(channels_first(gx), gradient), 6e-8 * 108 * 12);
}

TEST(MapConv, ShapesThatDoNotFitAreRefused) {
  const at::Tensor weight = at::zeros({4, 3, 3, 3}, at::kFloat);
  test::expect_error(ExitCode::kRuntime, {"map of 2 channels"}, [&] { MapConv(weight, {2, 4, 4}, {}); });
  test::expect_error(ExitCode::kRuntime, {"map of 3 channels"}, [&] {
    MapConv(weight, {3, 4, 4}, {.stride = 2, .doubles = true});
  });
  test::expect_error(ExitCode::kRuntime, {"2 x 2 is too small"}, [&] { MapConv(weight, {3, 2, 2}, {.padding = 0}); });
  const at::Tensor even = at::zeros({4, 3, 4, 4}, at::kFloat);  // 1 + 2 < 4: nothing to divide by the stride
  test::expect_error(ExitCode::kRuntime, {"3 x 1 is too small"}, [&] { MapConv(even, {3, 3, 1}, {.stride = 2}); });
}

}  // namespace
}  // namespace hebm::nets
