// train.chain = reverse: what its gradients expect, on a linear generator with linear nets, where
// all chains have closed forms; resume, and what it leaves alone.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <array>
#include <cmath>
#include <stdexcept>
#include "../prior/linear_backbone.h"
#include "base/error.h"
#include "comm/single_communicator.h"
#include "gaussian_source.h"
#include "support.h"
#include "train/diffusion.h"

namespace hebm::train {
namespace {

using test::LinearBackbone;
constexpr double c = LinearBackbone::c, d = LinearBackbone::d;
using Pair = std::array<double, 2>;

// Data N(m, I): u_t ~ N(alpha_cum[t] m, I), and F = b . u with b = alpha_cum[t] m is exact at every
// level, since u_t given u_{t+1} has the mean alpha u_{t+1} + sigma^2 b.
constexpr Pair m = {0.9, -0.6};
constexpr Pair of_layers(const Pair& u) { return {u[0], c * u[0] + d * u[1]}; }  // z of u

struct World : test::LinearWorld {
  prior::EnergyOptions energy = test::plain_nets(4);
  prior::LangevinOptions langevin;
  PriorTrainOptions options;
  prior::Schedule schedule = prior::make_schedule({0.99995, 0.8, 0.0228});

  World() {
    langevin.steps = 15;
    langevin.step = 0.4;
    options.batch = 2048;
    options.micro_batch = 512;
  }
  prior::EnergyPrior make_prior() const { return {energy, backbone.groups(), schedule, 3}; }
  TrainingRun run(const std::string& name) { return {folder / name, {{"a", "1"}}, comm, logger}; }
  PriorInputs inputs(prior::EnergyPrior& prior) const {
    return {prior, energy, backbone, langevin, 3, [](const MicroBatches& batches, std::int64_t first) {
              return test::gaussian_source({m[0], m[1], 1, 0, 1}, batches, first);
            }};
  }
  // F = b . u of the nets of level t: f_i = s_t^2 (slope of z_i).
  void set_level(prior::EnergyPrior& prior, std::int64_t t, const Pair& b) const {
    const double s2 = prior::step_variance(schedule, langevin, t), slope = b[1] / d;
    const std::size_t first = prior.first_bucket({t});
    test::make_linear(prior.bucket(first), s2 * (b[0] - c * slope));
    test::make_linear(prior.bucket(first + 1), s2 * slope);
  }
  Pair mean(std::int64_t t) const {  // of the data's u_t
    const double alpha = schedule.alpha_cum[static_cast<std::size_t>(t)];
    return {alpha * m[0], alpha * m[1]};
  }
};

// d loss / d slope of z_i, level 0's two nets, mean over so many updates of the whole batch.
constexpr std::int64_t kUpdates = 10;
Pair slope_gradients(World& world, prior::EnergyPrior& prior) {
  DiffusionObjective objective(world.options, world.inputs(prior), world.run("run"));
  GradientSum sum(world.comm, objective.buckets(), false, objective.batches().count);
  objective.resume(0, nlohmann::json::object());
  Pair out = {0, 0};
  for (std::int64_t number = 0; number < kUpdates; ++number) {
    const Update update{number, kUpdates, 0};
    objective.record().zero();
    sum.begin(objective.begin(update).local_passes);
    for (std::int64_t batch = 0; batch < objective.batches().count; ++batch)
      objective.learn({update, batch, batch + 1}, sum);
    sum.finish();
    for (std::size_t i = 0; i < 2; ++i) {
      for (const auto& p : prior.bucket(i).params().parameters()) {
        if (p.name == "out.weight_orig") out[i] += p.tensor.grad()[0][0].item<double>() / kUpdates;
      }
    }
  }
  return out;
}

// The loss is the mean of w (f- - f+) over rows of all levels, of which 1 / T are at level 0.
// Positives and negatives of a layer have variance 1; five standard errors of their difference.
void expect_slope_gradients(const World& world, const Pair& got, const Pair& mean_of_difference, double rows) {
  const double w = 1.0 / prior::step_variance(world.schedule, world.langevin, 1) / 2;
  const Pair expected = of_layers(mean_of_difference);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(got[i] / w, expected[i], 5 * std::sqrt(2 / rows)) << "layer " << i;
}

// Level 0 has learnt nothing, so its chain has the mean alpha[1] E u_1: of the data's u_1, or of
// the chain's own. That is the same where level 1 is exact, but for e^-6 of the way, and 0 where it
// has learnt nothing.
TEST(ReverseTraining, ExpectsTheDataChainsGradientWhereTheLevelsAboveAreExact) {
  for (const TrainingChain chain : {TrainingChain::kData, TrainingChain::kReverse}) {
    for (const bool exact : {true, false}) {
      World world;
      world.options.chain = chain;
      prior::EnergyPrior prior = world.make_prior();
      world.set_level(prior, 0, {0, 0});
      world.set_level(prior, 1, exact ? world.mean(1) : Pair{0, 0});
      const bool reverse = chain == TrainingChain::kReverse;
      const double reached = !reverse ? 1.0 : exact ? 1 - std::exp(-6.0) : 0.0;
      Pair difference{};
      for (std::size_t e = 0; e < 2; ++e)
        difference[e] = reached * world.schedule.alpha[1] * world.mean(1)[e] - world.mean(0)[e];
      SCOPED_TRACE(fmt::format("{}, {}", name_of(chain), exact ? "exact" : "nothing learnt"));
      const double rows = static_cast<double>(kUpdates * world.options.batch) * (reverse ? 1.0 : 0.5);
      expect_slope_gradients(world, slope_gradients(world, prior), difference, rows);
    }
  }
}

// One net a layer that is told t and knows nothing: both levels' differences add up.
TEST(ReverseTraining, NetsThatAreToldTLearnAtAllLevelsOfAMicroBatch) {
  World world;
  world.options.chain = TrainingChain::kReverse;
  world.energy.per_level = false;
  prior::EnergyPrior prior = world.make_prior();
  world.set_level(prior, 0, {0, 0});
  const Pair difference = {-world.mean(0)[0] - world.mean(1)[0], -world.mean(0)[1] - world.mean(1)[1]};
  expect_slope_gradients(
      world, slope_gradients(world, prior), difference, static_cast<double>(kUpdates * world.options.batch) / 2);
}

// What is learnt in 6 updates; stopped behind update `stop` and begun again from its checkpoint.
std::vector<at::Tensor> learnt(World& world, const std::string& name, std::int64_t stop = 0) {
  for (const bool again : {false, true}) {
    if (!again && stop == 0) continue;
    prior::EnergyPrior prior = world.make_prior();
    DiffusionObjective objective(world.options, world.inputs(prior), world.run(name));
    try {
      TrainingLoop(objective, world.run(name)).run([&](std::int64_t update) {
        if (!again && update == stop) throw std::runtime_error("stop");
      });
    } catch (const std::runtime_error&) {
      continue;
    }
    std::vector<at::Tensor> out;
    for (std::size_t b = 0; b < prior.num_buckets(); ++b) out.push_back(prior.bucket(b).params().flat().clone());
    return out;
  }
  return {};
}

void few_updates(World& world) {
  world.options.updates = 6;
  world.options.batch = 32;
  world.options.micro_batch = 8;
  world.options.checkpoint_every = 1;
  world.options.rate.warmup = 0;
  world.langevin.steps = 3;
}

TEST(ReverseTraining, GoesOnFromACheckpointBitByBit) {
  for (const bool per_level : {true, false}) {
    for (const bool deterministic : {true, false}) {
      World world;
      few_updates(world);
      world.energy.per_level = per_level;
      world.options.deterministic = deterministic;
      world.options.chain = TrainingChain::kReverse;
      world.options.reverse_from = 3;
      const auto whole = learnt(world, "whole");
      ASSERT_EQ(whole.size(), per_level ? 4u : 2u);
      for (const std::int64_t stop : {2, 3, 4}) {
        const auto parts = learnt(world, fmt::format("parts{}", stop), stop);
        for (std::size_t b = 0; b < whole.size(); ++b) EXPECT_TRUE(parts.at(b).equal(whole[b])) << stop << " " << b;
      }
      world.options.reverse_from = 0;
      EXPECT_FALSE(learnt(world, "at once")[0].equal(whole[0]));
      world.options.reverse_from = 6;
      const auto never = learnt(world, "never");
      world.options.reverse_from = 0;
      world.options.chain = TrainingChain::kData;
      EXPECT_TRUE(learnt(world, "data")[0].equal(never[0]));
      EXPECT_FALSE(never[0].equal(whole[0]));
    }
  }
}

TEST(ReverseTraining, LeavesTheOtherLevelsOfACouplingAlone) {
  World world;
  few_updates(world);
  world.options.chain = TrainingChain::kReverse;
  world.options.only_zero = true;
  const prior::EnergyPrior before = world.make_prior();
  const auto after = learnt(world, "run");
  for (std::size_t b = 0; b < 4; ++b) EXPECT_EQ(after[b].equal(before.bucket(b).params().flat()), b >= 2) << b;
}

TEST(ReverseTraining, IsAlgorithm1ForOneLevelFromNoise) {
  World world;
  few_updates(world);
  world.schedule = prior::make_marginal_schedule();
  const auto data = learnt(world, "data");
  world.options.chain = TrainingChain::kReverse;
  const auto reverse = learnt(world, "reverse");
  for (std::size_t b = 0; b < 2; ++b) EXPECT_TRUE(reverse[b].equal(data[b]));
}

TEST(ReverseTraining, CostsTLevelsAnUpdate) {
  World world;
  prior::EnergyPrior prior = world.make_prior();
  world.options.chain = TrainingChain::kReverse;
  world.options.reverse_from = 10;
  const DiffusionObjective objective(world.options, world.inputs(prior), world.run("run"));
  EXPECT_EQ(objective.cost(10), 10);
  EXPECT_EQ(objective.cost(15), 20);
}

TEST(ReverseTraining, AStartOfItWithoutItIsRefused) {
  PriorTrainOptions options;
  options.reverse_from = 5;
  test::expect_error(
      ExitCode::kUsage, {"train.reverse_from = 5", "train.chain = reverse"}, [&] { options.expect_possible(true, 1); });
  options.chain = TrainingChain::kReverse;
  EXPECT_NO_THROW(options.expect_possible(true, 1));
}

}  // namespace
}  // namespace hebm::train
