// The small nets' own passes against the plain path in float64: f, its gradient to z, and the
// loss's to every parameter, spectral norm included.
#include "prior/small_net_plan.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include "../nets/support.h"

namespace hebm::prior {
namespace {

using test::random_tensor;

// Of the largest value: some layers of float32 sums of up to a thousand terms.
constexpr double kBar = 2e-5;

struct Pair {
  std::unique_ptr<EnergyNet> net, exact;  // of the same weights, float32 and float64
};

Pair make_pair(NetKind kind, const LatentShape& shape, std::int64_t num_levels, bool spectral_norm = true) {
  EnergyOptions options;
  options.net = kind;
  options.spectral_norm = spectral_norm;
  options.width = 16;
  options.embedding = 8;
  options.gain = 1.7;
  NetSetting setting{.num_levels = num_levels, .stream = 4, .seed = 2};
  Pair out;
  out.net = make_energy_net(options, shape, setting);
  setting.dtype = at::kDouble;
  out.exact = make_energy_net(options, shape, setting);
  const c10::NoGradGuard no_grad;
  for (std::size_t k = 0; k < out.net->params().parameters().size(); ++k) {
    at::Tensor left = out.net->params().parameters()[k].tensor, right = out.exact->params().parameters()[k].tensor;
    if (left.dim() == 1) left.copy_(random_tensor(left.sizes().vec(), 10 + static_cast<std::uint32_t>(k)) * 0.3);
    right.copy_(left);
  }
  for (std::size_t k = 0; k < out.net->params().states().size(); ++k) {
    at::Tensor right = out.exact->params().states()[k].tensor;
    right.copy_(out.net->params().states()[k].tensor);
  }
  return out;
}

double relative(const at::Tensor& got, const at::Tensor& truth) {
  return test::largest_difference(got, truth) / truth.abs().max().item<double>();
}

struct Case {
  NetKind kind;
  LatentShape shape;
  std::int64_t num_levels;
};
const std::vector<Case> kCases = {{NetKind::kSmall, {8, 2, 2}, 1}, {NetKind::kSmall, {8, 4, 4}, 1},
    {NetKind::kSmall, {3, 8, 8}, 1}, {NetKind::kSmall, {4, 5, 3}, 1}, {NetKind::kSmall, {4, 4, 4}, 3},
    {NetKind::kDense, {4, 4, 4}, 1}, {NetKind::kDense, {2, 4, 2}, 2}};

TEST(SmallNetPlan, GradientToZ) {
  for (const Case& c : kCases) {
    const Pair pair = make_pair(c.kind, c.shape, c.num_levels);
    for (const std::int64_t count : {1, 3, 70}) {
      SCOPED_TRACE(testing::Message() << c.shape.channels << " x " << c.shape.height << ", " << count << " images");
      const at::Tensor z = random_tensor({count, c.shape.channels, c.shape.height, c.shape.width}, 1, at::kFloat) * 2.0;
      const at::Tensor t = at::arange(count, at::kLong).remainder(c.num_levels);
      const auto frozen = pair.net->weights(false), exact = pair.exact->weights(false);
      ASSERT_NE(frozen.frozen, nullptr);
      ASSERT_EQ(exact.frozen, nullptr);
      const at::Tensor leaf = z.to(at::kDouble).requires_grad_(true);
      const at::Tensor f = pair.exact->outputs(exact, pair.exact->select(exact, t), leaf).f;
      const at::Tensor truth = torch::autograd::grad({f.sum()}, {leaf})[0];
      const auto biases = pair.net->select(frozen, t);
      EXPECT_LT(relative(frozen.frozen->input_gradient(biases, z), truth), kBar);
      const at::Tensor own = z.clone().requires_grad_(true);
      const at::Tensor value = pair.net->outputs(frozen, biases, own).f;
      EXPECT_LT(relative(value, f), kBar);
      EXPECT_LT(relative(torch::autograd::grad({value.sum()}, {own})[0], truth), kBar) << "by autograd";
    }
  }
}

TEST(SmallNetPlan, GradientToTheParameters) {
  const int threads = at::get_num_threads();
  for (const Case& c : kCases) {
    const Pair pair = make_pair(c.kind, c.shape, c.num_levels);
    for (const int num_threads : {1, 2}) {
      SCOPED_TRACE(
          testing::Message() << c.shape.channels << " x " << c.shape.height << ", " << num_threads << " threads");
      at::set_num_threads(num_threads);
      const std::int64_t count = 9;
      const at::Tensor z = random_tensor({count, c.shape.channels, c.shape.height, c.shape.width}, 1, at::kFloat) * 2.0;
      const at::Tensor t = at::arange(count, at::kLong).remainder(c.num_levels), w = random_tensor({count}, 2);
      const auto gradients = [&](const EnergyNet& net, const EnergyNet::Weights& weights, at::ScalarType dtype) {
        const c10::AutoGradMode grad_on(true);
        const at::Tensor f = net.outputs(weights, net.select(weights, t), z.to(dtype)).f;
        std::vector<at::Tensor> params;
        for (const auto& p : net.params().parameters()) params.push_back(p.tensor);
        return torch::autograd::grad({(f * w.to(dtype) + f.square()).sum()}, params, {}, {}, false, true);
      };
      auto weights = pair.net->weights(true);
      weights.frozen = pair.net->weights(false).frozen;
      const auto got = gradients(*pair.net, weights, at::kFloat);
      const auto truth = gradients(*pair.exact, pair.exact->weights(true), at::kDouble);
      for (std::size_t k = 0; k < truth.size(); ++k) {
        ASSERT_EQ(got[k].defined(), truth[k].defined());
        if (!truth[k].defined()) continue;
        EXPECT_LT(relative(got[k], truth[k]), kBar) << pair.net->params().parameters()[k].name;
      }
    }
  }
  at::set_num_threads(threads);
}

// Five products one behind the other, forward and back, each within 2^-9: 2^-9 sqrt(20) = 9e-3 of
// the root mean square.
TEST(SmallNetPlan, ChainsInBfloat16WithinItsRounding) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.shape.channels << " x " << c.shape.height);
    const Pair pair = make_pair(c.kind, c.shape, c.num_levels);
    const at::Tensor z = random_tensor({70, c.shape.channels, c.shape.height, c.shape.width}, 1, at::kFloat) * 2.0;
    const at::Tensor t = at::arange(70, at::kLong).remainder(c.num_levels);
    const auto weights = pair.net->weights(false, nets::Precision::kBfloat16), exact = pair.exact->weights(false);
    const at::Tensor leaf = z.to(at::kDouble).requires_grad_(true);
    const at::Tensor truth =
        torch::autograd::grad({pair.exact->outputs(exact, pair.exact->select(exact, t), leaf).f.sum()}, {leaf})[0];
    const auto biases = pair.net->select(weights, t);
    const double error = test::norm_error(weights.chain->input_gradient(biases, z), truth);
    EXPECT_LT(error, 2e-2);
    EXPECT_GT(error, 1e-4);
    EXPECT_LT(relative(weights.frozen->input_gradient(biases, z), truth), kBar) << "the loss stays float32";
  }
}

// 70 images are three chunks.
TEST(SmallNetPlan, GradientToBiasesOfImages) {
  const Pair pair = make_pair(NetKind::kSmall, {4, 4, 4}, 3);
  const at::Tensor z = random_tensor({70, 4, 4, 4}, 1, at::kFloat), w = random_tensor({70}, 2);
  const at::Tensor t = at::arange(70, at::kLong).remainder(3);
  const auto gradients = [&](const EnergyNet& net, at::ScalarType dtype) {
    const auto weights = net.weights(false);
    std::vector<at::Tensor> biases = net.select(weights, t);
    for (at::Tensor& bias : biases) bias.requires_grad_(true);
    return torch::autograd::grad({(net.outputs(weights, biases, z.to(dtype)).f * w.to(dtype)).sum()}, biases);
  };
  const auto got = gradients(*pair.net, at::kFloat), truth = gradients(*pair.exact, at::kDouble);
  for (std::size_t j = 0; j < truth.size(); ++j) EXPECT_LT(relative(got[j], truth[j]), kBar) << "bias " << j;
}

TEST(SmallNetPlan, NoImagesGiveZeroGradients) {
  const Pair pair = make_pair(NetKind::kSmall, {4, 4, 4}, 1);
  const auto weights = pair.net->weights(false);
  auto biases = pair.net->select(weights, {});
  for (at::Tensor& bias : biases) bias.requires_grad_(true);
  const at::Tensor z = random_tensor({0, 4, 4, 4}, 1, at::kFloat);
  for (const at::Tensor& g : torch::autograd::grad({pair.net->outputs(weights, biases, z).f.sum()}, biases))
    EXPECT_EQ(g.abs().sum().item<float>(), 0.0f);
}

TEST(SmallNetPlan, FrozenValuesOutliveTheWeights) {
  for (const LatentShape& shape : {LatentShape{1, 1, 1}, LatentShape{1, 4, 4}, LatentShape{4, 2, 2}}) {
    SCOPED_TRACE(testing::Message() << shape.channels << " x " << shape.height);
    const Pair pair = make_pair(NetKind::kSmall, shape, 1, false);
    const auto weights = pair.net->weights(false);
    const at::Tensor z = random_tensor({3, shape.channels, shape.height, shape.width}, 1, at::kFloat);
    std::vector<at::Tensor> biases;
    for (const at::Tensor& bias : pair.net->select(weights, {})) biases.push_back(bias.clone());
    const at::Tensor before = weights.frozen->input_gradient(biases, z);
    const c10::NoGradGuard no_grad;
    pair.net->params().flat().mul_(0.5);
    EXPECT_TRUE(weights.frozen->input_gradient(biases, z).equal(before));
    EXPECT_FALSE(pair.net->weights(false).frozen->input_gradient(biases, z).equal(before));
  }
}

TEST(SmallNetPlan, WhatWouldGiveAWrongGradientIsRefused) {
  const Pair pair = make_pair(NetKind::kSmall, {4, 4, 4}, 2);
  const auto weights = pair.net->weights(false);
  const at::Tensor t = at::arange(2, at::kLong);
  at::Tensor z = random_tensor({2, 4, 4, 4}, 1, at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
  z.requires_grad_(true);
  const auto f = [&] { return pair.net->outputs(weights, pair.net->select(weights, t), z).f.sum(); };
  test::expect_error(ExitCode::kRuntime, {"create_graph"}, [&] { torch::autograd::grad({f()}, {z}, {}, true, true); });
  const at::Tensor sum = f();
  {
    const c10::NoGradGuard no_grad;
    z.mul_(2.0);
  }
  test::expect_error(ExitCode::kRuntime, {"changed in place"}, [&] { torch::autograd::grad({sum}, {z}); });
  const auto other = pair.net->select(weights, t.narrow(0, 0, 1));  // of one image
  test::expect_error(ExitCode::kRuntime, {"bias 0 of 16 channels and 2 images has shape [1,16]"},
      [&] { pair.net->outputs(weights, other, z); });
  test::expect_error(ExitCode::kRuntime, {"z of [B,4,4,4] expected, got [2,4,2,2]"}, [&] {
    pair.net->outputs(weights, pair.net->select(weights, t), random_tensor({2, 4, 2, 2}, 1, at::kFloat));
  });
}

TEST(SmallNetPlan, ASecondBackwardIsRefused) {
  const Pair pair = make_pair(NetKind::kSmall, {4, 4, 4}, 1);
  const auto weights = pair.net->weights(false);
  const at::Tensor z = random_tensor({3, 4, 4, 4}, 1, at::kFloat).requires_grad_(true);
  const at::Tensor sum = pair.net->outputs(weights, pair.net->select(weights, {}), z).f.sum();
  const at::Tensor first = torch::autograd::grad({sum}, {z}, {}, true)[0];
  EXPECT_TRUE(first.equal(torch::autograd::grad({sum}, {z}, {}, true)[0])) << "with a kept graph";
  torch::autograd::grad({sum}, {z});
  EXPECT_ANY_THROW(torch::autograd::grad({sum}, {z}));
}

}  // namespace
}  // namespace hebm::prior
