// The HVAE's own path against the plain path in float64: z, and the gradient to u by autograd.
#include "vae/hvae_frozen.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "../nets/support.h"

namespace hebm::vae {
namespace {

using test::norm_error, test::random_tensor;

// Of the largest value: five layers of float32 sums of some hundred terms each.
constexpr double kBar = 1e-5;

struct Pair {
  std::shared_ptr<Hvae> net, exact;  // of the same weights, float32 and float64
};

Pair make_pair(const std::string& latents, std::int64_t width, ImageFrom image_from = ImageFrom::kBottom) {
  HvaeOptions options;
  options.latents = latents;
  options.width = width;
  options.image_width = options.pixel_width = options.top_width = 8;
  options.image_from = image_from;
  const ImageShape image{1, 32, 32};
  Pair out{std::make_shared<Hvae>(options, image, BackboneBuild{.seed = 3}),
      std::make_shared<Hvae>(options, image, BackboneBuild{.seed = 3, .dtype = at::kDouble})};
  const c10::NoGradGuard no_grad;  // biases are 0 at the start, which may hide a mistake
  for (std::size_t k = 0; k < out.net->params().parameters().size(); ++k) {
    at::Tensor left = out.net->params().parameters()[k].tensor, right = out.exact->params().parameters()[k].tensor;
    if (left.dim() == 1) left.copy_(random_tensor(left.sizes().vec(), 10 + static_cast<std::uint32_t>(k)) * 0.3);
    right.copy_(left);
  }
  return out;
}

double relative(const at::Tensor& got, const at::Tensor& truth) {
  return test::largest_difference(got, truth) / truth.abs().max().item<double>();
}

TEST(HvaeFrozen, EqualsThePlainPathInFloat64) {
  const int threads = at::get_num_threads();
  for (const char* latents : {"8x2,8x4,16x4,4x8", "16x2,16x4,8x8", "4x8", "3x4,5x4,2x8"}) {
    const Pair pair = make_pair(latents, 32);
    pair.net->freeze();
    for (const std::int64_t count : {1, 3, 70}) {  // 70: more than one chunk
      SCOPED_TRACE(testing::Message() << latents << ", " << count << " images");
      at::set_num_threads(count == 3 ? 2 : 1);
      const at::Tensor u = random_tensor({count, pair.net->dim()}, 1, at::kFloat) * 1.7;
      const at::Tensor exact = u.to(at::kDouble).requires_grad_(true);
      const auto truth = pair.exact->transport(exact);
      std::vector<at::Tensor> outer;
      for (std::size_t i = 0; i < truth.size(); ++i)
        outer.push_back(random_tensor(truth[i].sizes().vec(), 500 + static_cast<std::uint32_t>(i)));
      const at::Tensor gradient = torch::autograd::grad(truth, {exact}, outer)[0];
      for (int visit = 0; visit < 2; ++visit) {  // again in the kept buffers
        const at::Tensor leaf = u.clone().requires_grad_(true);
        const auto z = pair.net->transport(leaf);
        std::vector<at::Tensor> rounded;
        for (std::size_t i = 0; i < z.size(); ++i) {
          EXPECT_LT(relative(z[i], truth[i]), kBar) << "z " << i;
          rounded.push_back(outer[i].to(at::kFloat));
        }
        EXPECT_LT(relative(torch::autograd::grad(z, {leaf}, rounded)[0], gradient), kBar);
      }
    }
  }
  at::set_num_threads(threads);
}

TEST(HvaeFrozen, GradientOfOneLayerAlone) {
  const Pair pair = make_pair("8x2,8x4,4x8", 16, ImageFrom::kState);
  pair.net->freeze();
  const at::Tensor u = random_tensor({2, pair.net->dim()}, 1, at::kFloat);
  for (std::size_t i = 0; i < pair.net->groups().size(); ++i) {
    const at::Tensor leaf = u.clone().requires_grad_(true), exact = u.to(at::kDouble).requires_grad_(true);
    const at::Tensor got = torch::autograd::grad({pair.net->transport(leaf)[i].square().sum()}, {leaf})[0];
    const at::Tensor truth = torch::autograd::grad({pair.exact->transport(exact)[i].square().sum()}, {exact})[0];
    EXPECT_LT(relative(got, truth), kBar) << "layer " << i;
  }
}

// A rounding to bfloat16 is within 2^-9. Two convolutions a layer and their SiLUs stand one behind
// the other: 2^-9 sqrt(2 * 8) = 8e-3 of the root mean square by a random walk. It is not float32:
// more than 1e-5.
TEST(HvaeFrozen, InBfloat16WithinItsRounding) {
  for (const char* latents : {"8x2,8x4,16x4,4x8", "16x2,16x4,8x8"}) {
    const Pair pair = make_pair(latents, 32);
    pair.net->freeze();
    const at::Tensor u = random_tensor({40, pair.net->dim()}, 1, at::kFloat) * 1.7;
    const at::Tensor leaf = u.clone().requires_grad_(true), exact = u.to(at::kDouble).requires_grad_(true);
    const auto z = pair.net->transport(leaf, nets::Precision::kBfloat16), truth = pair.exact->transport(exact);
    EXPECT_LT(relative(z[0], truth[0]), 1e-6) << "u itself";
    EXPECT_LT(norm_error(z.back(), truth.back()), 2e-2);
    EXPECT_GT(norm_error(z.back(), truth.back()), 1e-5);
    const at::Tensor got = torch::autograd::grad({z.back().square().sum()}, {leaf})[0];
    const at::Tensor gradient = torch::autograd::grad({truth.back().square().sum()}, {exact})[0];
    EXPECT_LT(norm_error(got, gradient), 2e-2);
    EXPECT_GT(norm_error(got, gradient), 1e-5);
    EXPECT_LT(relative(pair.net->transport(u).back(), truth.back()), kBar) << "float32 beside it";
  }
}

// One channel: a matrix turned round is then the same memory.
TEST(HvaeFrozen, FrozenValuesOutliveTheWeights) {
  for (const std::int64_t width : {1, 8}) {
    const Pair pair = make_pair("1x2,1x4,1x8", width);
    pair.net->freeze();
    const at::Tensor u = random_tensor({3, pair.net->dim()}, 1, at::kFloat).requires_grad_(true);
    const auto gradient = [&](const std::vector<at::Tensor>& z) {
      return torch::autograd::grad({z[1].sum() + z[2].sum()}, {u})[0];
    };
    const at::Tensor before = gradient(pair.net->transport(u));
    const auto z = pair.net->transport(u);
    const c10::NoGradGuard no_grad;
    pair.net->params().flat().mul_(0.5);
    const c10::AutoGradMode grad_on(true);
    EXPECT_TRUE(gradient(z).equal(before)) << "width " << width;
  }
}

TEST(HvaeFrozen, WhatItCannotDoIsRefused) {
  const Pair pair = make_pair("8x2,8x4,4x8", 8);
  pair.net->freeze();
  const at::Tensor u = random_tensor({2, pair.net->dim()}, 1, at::kFloat).requires_grad_(true);
  test::expect_error(ExitCode::kRuntime, {"create_graph"},
      [&] { torch::autograd::grad({pair.net->transport(u)[2].sum()}, {u}, {}, true, true); });
  const auto z = pair.net->transport(u);
  torch::autograd::grad({z[1].sum()}, {u}, {}, true);
  test::expect_error(ExitCode::kRuntime, {"second backward"}, [&] { torch::autograd::grad({z[2].sum()}, {u}); });
  test::expect_error(
      ExitCode::kRuntime, {"u of [B, 416] expected, got [2,415]"}, [&] { pair.net->transport(u.narrow(1, 0, 415)); });
  const auto none = pair.net->transport(u.narrow(0, 0, 0));
  EXPECT_EQ(torch::autograd::grad({none[2].sum()}, {u})[0].abs().sum().item<float>(), 0.0f);
}

TEST(HvaeFrozen, AChangeOfTheWeightsIsSeen) {
  const Pair pair = make_pair("8x2,4x4,4x8", 8);
  const c10::NoGradGuard no_grad;
  const at::Tensor u = random_tensor({3, pair.net->dim()}, 1, at::kFloat);
  pair.net->freeze();
  const at::Tensor before = pair.net->transport(u).back();
  pair.net->params().flat().mul_(0.9);
  const at::Tensor after = pair.net->transport(u).back();
  EXPECT_GT(relative(after, before), 1e-3);
  pair.net->freeze(false);
  EXPECT_LT(relative(after, pair.net->transport(u).back()), kBar);
}

}  // namespace
}  // namespace hebm::vae
