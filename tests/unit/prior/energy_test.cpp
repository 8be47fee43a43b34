// Energy nets, the potential's gradient through the transport, losses and the prior's file.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <filesystem>
#include <fstream>
#include "../nets/support.h"
#include "base/error.h"
#include "prior/forward_pair.h"
#include "prior/potential.h"
#include "prior/prior_file.h"
#include "prior/reverse_chain.h"
#include "tiny_prior.h"

namespace hebm::prior {
namespace {

using test::tiny_energy;
using test::tiny_vae;

at::Tensor some_u(std::int64_t count, std::int64_t dim) {
  return Chains(chain_ids(3, 0, count), 0, at::kCPU).normals(Purpose::kTest, dim);
}

// Central differences in float64: truncation h^2 |f'''| / 6 and rounding eps |f| / h with h = 1e-5
// are both below 1e-9 for f of order 1.
TEST(Potential, GradientThroughTheTransportMatchesCentralDifferences) {
  const vae::Hvae backbone(tiny_vae(), ImageShape{}, {.seed = 1, .dtype = at::kDouble});
  for (const bool per_level : {true, false}) {
    const EnergyPrior prior(tiny_energy(per_level), backbone.groups(), make_schedule(2), 5, at::kDouble);
    const auto weights = prior.frozen_weights();
    const std::vector<std::int64_t> levels =
        per_level ? std::vector<std::int64_t>{1, 1} : std::vector<std::int64_t>{1, 0};
    const Potential potential(prior, backbone, weights, test::chains_at(levels));
    const at::Tensor u = some_u(2, backbone.dim()).to(at::kDouble);
    const at::Tensor gradient = potential.gradient(u);
    ASSERT_GT(gradient.abs().max().item<double>(), 1e-3);
    constexpr double kStep = 1e-5;
    for (std::int64_t e = 0; e < backbone.dim(); e += 7) {
      at::Tensor up = u.clone(), down = u.clone();
      up.select(1, e).add_(kStep);
      down.select(1, e).sub_(kStep);
      const at::Tensor numeric = (potential.value(up) - potential.value(down)) / (2 * kStep);
      EXPECT_LT((numeric - gradient.select(1, e)).abs().max().item<double>(), 1e-8) << e;
    }
  }
}

// Six nets for one, two and three threads: from two on they are shared out, four threads would have
// too few.
TEST(Potential, GradientIsTheSameHoweverThreadsShareTheNets) {
  vae::HvaeOptions many = tiny_vae();
  many.latents = "2x1,2x1,2x2,2x2,2x4,2x4";
  const vae::Hvae backbone(many, ImageShape{}, {.seed = 1, .dtype = at::kDouble});
  const EnergyPrior prior(tiny_energy(true), backbone.groups(), make_schedule(2), 5, at::kDouble);
  const auto weights = prior.frozen_weights();
  const Potential potential(prior, backbone, weights, test::chains_at({1, 1, 1}));
  const at::Tensor u = some_u(3, backbone.dim()).to(at::kDouble);
  at::Tensor leaf = u.clone().requires_grad_(true);
  const at::Tensor truth = torch::autograd::grad({potential.value(leaf).sum()}, {leaf})[0];
  const int num_threads = at::get_num_threads();
  for (const int threads : {1, 2, 3, 4}) {
    at::set_num_threads(threads);
    EXPECT_LT((potential.gradient(u) - truth).abs().max().item<double>(), 1e-13) << threads << " threads";
  }
  at::set_num_threads(num_threads);
}

TEST(EnergyNet, TakesEveryLatentSize) {
  for (const std::string kind : {"small", "dense"}) {
    for (const std::int64_t side : {1, 2, 4, 8, 16, 32, 64, 128}) {
      EnergyOptions options = tiny_energy(false);
      options.net = *value_named<NetKind>(kind);
      const auto made = make_energy_net(options, {3, side, side}, {.num_levels = 4, .seed = 1});
      const EnergyNet& net = *made;
      const auto weights = net.weights(false);
      const at::Tensor t = at::tensor(std::vector<std::int64_t>{0, 3}, at::kLong);
      const at::Tensor z = at::full({2, 3, side, side}, 0.3, at::kFloat);
      const at::Tensor f = net.outputs(weights, net.select(weights, t), z).f;
      EXPECT_EQ(f.sizes().vec(), (std::vector<std::int64_t>{2}));
      EXPECT_NE(f[0].item<float>(), f[1].item<float>()) << "t matters, " << kind << ", side " << side;
    }
  }
}

// A dense net has no notion of neighbours: with the columns of its first weight permuted as the
// elements are, f stays; and an element moves f wherever it lies. Its size: 8 -> 2W -> 2W -> W -> 1
// with biases, W = 6.
TEST(EnergyNet, DenseSeesTheLayerFlat) {
  EnergyOptions options = tiny_energy(true);
  options.net = NetKind::kDense;
  options.spectral_norm = false;
  const auto made = make_energy_net(options, {2, 2, 2}, {.seed = 1, .dtype = at::kDouble});
  const EnergyNet& net = *made;
  EXPECT_EQ(net.params().size(), (8 + 1) * 12 + (12 + 1) * 12 + (12 + 1) * 6 + 6);
  auto weights = net.weights(false);
  ASSERT_EQ(weights.stages[0].sizes().vec(), (std::vector<std::int64_t>{12, 8}));
  const auto biases = net.select(weights, {});
  const at::Tensor z = some_u(2, 8).to(at::kDouble);
  const at::Tensor f = net.outputs(weights, biases, z.reshape({2, 2, 2, 2})).f;
  const at::Tensor reversed = net.outputs(weights, biases, z.flip(1).reshape({2, 2, 2, 2})).f;
  EXPECT_GT((f - reversed).abs().max().item<double>(), 1e-3);
  weights.stages[0] = weights.stages[0].flip(1);
  EXPECT_LT((f - net.outputs(weights, biases, z.flip(1).reshape({2, 2, 2, 2})).f).abs().max().item<double>(), 1e-14);
}

// Only the stage between the two dense layers adds to its input, not one that happens to keep the
// size: a layer of 2W = 12 elements behind a first weight of 0.
TEST(EnergyNet, ALayerOfTheHiddenSizeIsNotAddedToTheHiddenUnits) {
  for (const std::string kind : {"small", "dense"}) {
    EnergyOptions options = tiny_energy(true);
    options.net = *value_named<NetKind>(kind);
    options.spectral_norm = false;
    const auto net = make_energy_net(options, {3, 2, 2}, {.seed = 1, .dtype = at::kDouble});
    auto weights = net->weights(false);
    ASSERT_EQ(weights.stages[0].sizes().vec(), (std::vector<std::int64_t>{12, 12})) << kind;
    weights.stages[0] = weights.stages[0] * 0.0;
    const at::Tensor f =
        net->outputs(weights, net->select(weights, {}), some_u(2, 12).to(at::kDouble).reshape({2, 3, 2, 2})).f;
    EXPECT_EQ(f[0].item<double>(), f[1].item<double>()) << kind;
  }
}

TEST(EnergyNet, NormalisedWeightsHaveSpectralNormOneOnceConverged) {
  EnergyOptions options = tiny_energy(true);
  options.warm_iterations = 500;
  const auto net = make_energy_net(options, {3, 4, 4}, {.seed = 1, .dtype = at::kDouble});
  for (const auto& w : net->weights(false).stages) {
    EXPECT_NEAR(at::linalg_svdvals(w.flatten(1))[0].item<double>(), 1.0, 1e-6);
  }
}

TEST(EnergyPrior, NetsAreByLevelAndMixedLevelsAreRefused) {
  const std::vector<LatentShape> groups = {{2, 2, 2}, {3, 4, 4}};
  const EnergyPrior by_level(tiny_energy(true), groups, make_schedule(3), 1);
  EXPECT_EQ(by_level.num_buckets(), 6u);
  EXPECT_EQ(by_level.bucket_name(5), "level2.layer1.");
  EXPECT_EQ(by_level.first_bucket({2, 2}), 4u);
  EXPECT_THROW(by_level.first_bucket({0, 2}), Error);
  const EnergyPrior shared(tiny_energy(false), groups, make_schedule(3), 1);
  EXPECT_EQ(shared.num_buckets(), 2u);
  EXPECT_EQ(shared.first_bucket({0, 2}), 0u);
}

TEST(Losses, LevelWeightsFollowTheirFormulas) {
  const Schedule schedule = make_schedule(3);
  LangevinOptions langevin;
  langevin.step_rule = StepRule::kPaper;
  langevin.eta = 3e-5;
  const double s2[] = {.4785 * 3e-5, 58.8577 * 3e-5, 95.9816 * 3e-5};
  const auto paper = level_weights(schedule, langevin, LevelWeight::kPaper),
             root = level_weights(schedule, langevin, LevelWeight::kSqrt),
             flat = level_weights(schedule, langevin, LevelWeight::kFlat);
  for (std::size_t t = 0; t < 3; ++t) {
    EXPECT_NEAR(paper[t] * s2[t], 1.0, 1e-4);
    EXPECT_NEAR(root[t], std::sqrt(s2[t] / s2[2]) / s2[t], 1e-3 * root[t]);
    EXPECT_NEAR(flat[t] * s2[2], 1.0, 1e-4);
  }
}

TEST(Losses, ContrastiveLossIsTheWeightedDifference) {
  const at::Tensor positive = at::tensor(std::vector<double>{1.0, 3.0}),
                   negative = at::tensor(std::vector<double>{2.0, -1.0}),
                   weight = at::tensor(std::vector<double>{10.0, 1.0});
  // (10 (2 - 1) + 1 (-1 - 3)) / 4 = 1.5; with l2 = 0.1: + 0.1 (10 (1 + 4) + (9 + 1)) / 4 = 1.5
  EXPECT_NEAR(contrastive_loss(positive, negative, weight, 0.0, 4).item<double>(), 1.5, 1e-12);
  EXPECT_NEAR(contrastive_loss(positive, negative, weight, 0.1, 4).item<double>(), 3.0, 1e-12);
}

TEST(ReverseChain, ChainsDoNotDependOnTheirBatch) {
  const vae::Hvae backbone(tiny_vae(), ImageShape{}, {.seed = 1});
  const EnergyPrior prior(tiny_energy(true), backbone.groups(), make_schedule(2), 5);
  LangevinOptions langevin;
  langevin.steps = 3;
  const ReverseChain chain(prior, backbone, langevin);
  std::vector<std::int64_t> levels;
  const auto look = [&](std::int64_t t, std::int64_t k, const at::Tensor&) {
    if (k == 0) levels.push_back(t);
  };
  const at::Tensor a = chain.sample(chain_ids(9, 0, 4), {.observer = look}), b = chain.sample(chain_ids(9, 2, 4));
  EXPECT_EQ(levels, (std::vector<std::int64_t>{1, 0}));
  EXPECT_TRUE(a.narrow(0, 2, 2).equal(b.narrow(0, 0, 2)));
}

class PriorFile : public ::testing::Test {
 protected:
  test::TempFolder folder_;
  std::vector<LatentShape> groups_ = {{2, 2, 2}, {3, 4, 4}};
};

TEST_F(PriorFile, KeepsEveryBitAndItsSchedule) {
  const auto file = folder_ / "prior.safetensors";
  const EnergyPrior prior(tiny_energy(true), groups_, make_schedule(std::vector<double>{0.99, 0.5, 0.02}), 5);
  const std::string hash = save_prior(file, prior, tiny_energy(true), groups_, "the-vae", {{"a", "1"}});
  const LoadedPrior loaded = load_prior(file, groups_, "the-vae");
  EXPECT_EQ(loaded.prior_hash, hash);
  EXPECT_EQ(loaded.fingerprint.at("a"), "1");
  EXPECT_EQ(loaded.prior->schedule().alpha_cum, prior.schedule().alpha_cum);
  const auto want = prior.named_tensors(), got = loaded.prior->named_tensors();
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].name, want[i].name);
    EXPECT_TRUE(got[i].tensor.equal(want[i].tensor)) << got[i].name;
  }
}

TEST_F(PriorFile, RefusesAnotherVaeOtherGroupsAndDamage) {
  const auto file = folder_ / "prior.safetensors";
  const EnergyPrior prior(tiny_energy(false), groups_, make_schedule(2), 5);
  save_prior(file, prior, tiny_energy(false), groups_, "the-vae", nlohmann::json::object());
  try {
    load_prior(file, groups_, "another-vae");
    FAIL() << "another VAE was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
  }
  EXPECT_THROW(load_prior(file, {{2, 2, 2}, {4, 4, 4}}, "the-vae"), Error);
  {
    std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
    damage.seekg(-10, std::ios::end);
    const int byte = damage.get();
    damage.seekp(-10, std::ios::end);
    damage.put(static_cast<char>(byte ^ 4));
  }
  try {
    load_prior(file, groups_, "the-vae");
    FAIL() << "a flipped bit was not noticed";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kCorrupt);
  }
}

}  // namespace
}  // namespace hebm::prior
