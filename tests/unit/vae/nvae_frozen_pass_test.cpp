// The folded path of a frozen NVAE against the plain path in float64: z, and the gradient to u by
// autograd.
#include "vae/nvae_frozen_pass.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "../nets/support.h"

namespace hebm::vae {
namespace {

using test::random_tensor;

constexpr double kBar =
    1e-5;  // of the largest value: float32 through some twenty layers of random weights is 1e-6 to 6e-6 off

// A gradient goes through all groups twice, and three scales amplify rounding: the plain float32
// path is 0.5e-6 to 24e-6 off, by network and processor.
constexpr double kGradientBar = 5e-5;

struct Pair {
  std::shared_ptr<Nvae> net, exact;  // of the same weights, float32 and float64
};

// All parameters and batch-norm statistics random: nothing that is 0 or 1 at the start may hide a
// mistake.
Pair make_pair(const NvaeOptions& options) {
  const ImageShape image{1, 32, 32};
  Pair out{std::make_shared<Nvae>(options, image, BackboneBuild{.seed = 3}),
      std::make_shared<Nvae>(options, image, BackboneBuild{.seed = 3, .dtype = at::kDouble})};
  const c10::NoGradGuard no_grad;
  std::uint32_t item = 10;
  const auto fill = [&](const nets::NamedTensor& a, const nets::NamedTensor& b, double low, double span) {
    const at::Tensor values = (random_tensor(a.tensor.sizes().vec(), item++) + 1) * (0.5 * span) + low;
    at::Tensor left = a.tensor, right = b.tensor;
    left.copy_(values);
    right.copy_(left);
  };
  for (std::size_t k = 0; k < out.net->params().parameters().size(); ++k) {
    const auto& p = out.net->params().parameters()[k];
    const bool gamma = p.tensor.dim() == 1 && p.name.ends_with(".weight");
    const double bound =
        gamma ? 0.0 : 1.5 / std::sqrt(std::max<double>(1.0, static_cast<double>(p.tensor.numel() / p.tensor.size(0))));
    fill(p, out.exact->params().parameters()[k], gamma ? 0.5 : -bound, gamma ? 1.0 : 2 * bound);
  }
  for (std::size_t k = 0; k < out.net->params().states().size(); ++k) {
    const auto& s = out.net->params().states()[k];
    const bool variance = s.name.ends_with("running_var");
    fill(s, out.exact->params().states()[k], variance ? 0.5 : -0.3, variance ? 1.0 : 0.6);
  }
  return out;
}

struct Evaluated {
  std::vector<at::Tensor> z;
  at::Tensor gradient;  // of sum_i <c_i, z_i>
};

Evaluated evaluate(const std::function<std::vector<at::Tensor>(const at::Tensor&)>& transport, const at::Tensor& u) {
  const at::Tensor leaf = u.detach().clone().requires_grad_(true);
  Evaluated out{transport(leaf), {}};
  std::vector<at::Tensor> outer;
  for (std::size_t i = 0; i < out.z.size(); ++i) {
    outer.push_back(random_tensor(out.z[i].sizes().vec(), 500 + static_cast<std::uint32_t>(i), u.scalar_type()));
  }
  out.gradient = torch::autograd::grad(out.z, {leaf}, outer)[0];
  return out;
}

double relative(const at::Tensor& got, const at::Tensor& truth) {
  return test::largest_difference(got, truth) / truth.abs().max().item<double>();
}

NvaeOptions options_of(std::int64_t scales, bool use_se, std::int64_t cells) {
  NvaeOptions o;
  o.channels = 8;
  o.scales = scales;
  o.groups_per_scale = 3;
  o.latents = 5;
  o.decoder_cells = cells;
  o.encoder_cells = 1;
  o.preprocess_blocks = o.postprocess_blocks = 2;
  o.ada_groups = scales > 1;
  o.use_se = use_se;
  return o;
}

TEST(NvaeFrozen, EqualsThePlainPathInFloat64) {
  for (const std::int64_t scales : {1, 2, 3}) {
    for (const bool use_se : {true, false}) {
      const Pair pair = make_pair(options_of(scales, use_se, 2));
      const at::Tensor u = random_tensor({3, pair.net->dim()}, 1, at::kFloat) * 1.7;
      const Evaluated truth =
          evaluate([&](const at::Tensor& x) { return pair.exact->transport(x); }, u.to(at::kDouble));
      for (const auto& [slice, images] : {std::pair<std::int64_t, std::int64_t>{0, 0}, {512, 0}, {32, 2}}) {
        SCOPED_TRACE(testing::Message() << scales << " scales, squeeze-and-excitation " << use_se << ", slice " << slice
                                        << ", images " << images);
        const auto frozen = freeze_nvae(*pair.net, {.slice = slice}, images);
        for (int visit = 0; visit < 2; ++visit) {  // again in the kept buffers
          const Evaluated got = evaluate([&](const at::Tensor& x) { return frozen->transport(x); }, u);
          for (std::size_t i = 0; i < truth.z.size(); ++i) EXPECT_LT(relative(got.z[i], truth.z[i]), kBar) << "z " << i;
          EXPECT_LT(relative(got.gradient, truth.gradient), kGradientBar);
        }
        const c10::NoGradGuard no_grad;
        const auto z = frozen->transport(u);
        for (std::size_t i = 0; i < truth.z.size(); ++i)
          EXPECT_LT(relative(z[i], truth.z[i]), kBar) << "without gradient, z " << i;
      }
    }
  }
}

// Root mean square, as of the HVAE: some ten cells of three products, 2^-9 sqrt(30) = 1e-2.
TEST(NvaeFrozen, InBfloat16WithinItsRounding) {
  for (const std::int64_t scales : {1, 2}) {
    const Pair pair = make_pair(options_of(scales, true, 2));
    const at::Tensor u = random_tensor({3, pair.net->dim()}, 1, at::kFloat);
    const Evaluated truth = evaluate([&](const at::Tensor& x) { return pair.exact->transport(x); }, u.to(at::kDouble));
    const auto frozen = freeze_nvae(*pair.net, {.products = at::kBFloat16});
    const Evaluated got = evaluate([&](const at::Tensor& x) { return frozen->transport(x); }, u);
    EXPECT_LT(test::norm_error(got.z.back(), truth.z.back()), 2e-2);
    EXPECT_GT(test::norm_error(got.z.back(), truth.z.back()), 1e-5);
    EXPECT_LT(test::norm_error(got.gradient, truth.gradient), 3e-2);
    EXPECT_GT(test::norm_error(got.gradient, truth.gradient), 1e-5);
  }
}

TEST(NvaeFrozen, GradientOfOneLayerAlone) {
  const Pair pair = make_pair(options_of(2, true, 1));
  const at::Tensor u = random_tensor({2, pair.net->dim()}, 1, at::kFloat);
  const auto frozen = freeze_nvae(*pair.net);
  for (std::size_t i = 0; i < pair.net->groups().size(); ++i) {
    const at::Tensor leaf = u.clone().requires_grad_(true), exact = u.to(at::kDouble).requires_grad_(true);
    const at::Tensor got = torch::autograd::grad({frozen->transport(leaf)[i].square().sum()}, {leaf})[0];
    const at::Tensor truth = torch::autograd::grad({pair.exact->transport(exact)[i].square().sum()}, {exact})[0];
    EXPECT_LT(relative(got, truth), kBar) << "layer " << i;
  }
}

TEST(NvaeFrozen, FreezeIsUsedAndSeesALaterChange) {
  const Pair pair = make_pair(options_of(1, true, 1));
  const at::Tensor u = random_tensor({3, pair.net->dim()}, 1, at::kFloat);
  const c10::NoGradGuard no_grad;
  const at::Tensor plain = pair.net->transport(u).back();
  pair.net->freeze();
  const at::Tensor before = pair.net->transport(u).back();
  EXPECT_LT(relative(before, plain), 1e-5);
  EXPECT_TRUE(before.equal(freeze_nvae(*pair.net)->transport(u).back()));
  at::Tensor state = pair.net->params().states()[0].tensor;
  for (const auto& s : pair.net->params().states()) {
    if (s.name.starts_with("dec_tower")) state = s.tensor;
  }
  state.add_(0.5);
  const at::Tensor of_state = pair.net->transport(u).back();
  EXPECT_GT(relative(of_state, before), 1e-4);
  pair.net->params().flat().mul_(0.9);
  const at::Tensor after = pair.net->transport(u).back();
  EXPECT_GT(relative(after, of_state), 1e-3);
  pair.net->freeze(false);
  const at::Tensor plain_again = pair.net->transport(u).back();
  EXPECT_LT(relative(after, plain_again), 1e-5);
}

TEST(NvaeFrozen, ASecondBackwardIsRefused) {
  const Pair pair = make_pair(options_of(1, false, 1));
  const auto frozen = freeze_nvae(*pair.net);
  const at::Tensor leaf = random_tensor({2, pair.net->dim()}, 1, at::kFloat).requires_grad_(true);
  const at::Tensor sum = frozen->transport(leaf).back().sum();
  torch::autograd::grad({sum}, {leaf}, {}, true);
  test::expect_error(ExitCode::kRuntime, {"second backward"}, [&] { torch::autograd::grad({sum}, {leaf}, {}, true); });
}

}  // namespace
}  // namespace hebm::vae
