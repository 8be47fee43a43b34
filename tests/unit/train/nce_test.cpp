// NCE on a linear generator with Gaussian posteriors, where every classifier's best logit is
// known.
#include "train/nce.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/linspace.h>
#include <c10/core/GradMode.h>
#include <cmath>
#include <csignal>
#include "../prior/linear_backbone.h"
#include "comm/single_communicator.h"
#include "gaussian_source.h"
#include "prior/nce.h"
#include "support.h"
#include "train/diffusion.h"

namespace hebm::train {
namespace {

using test::LinearBackbone;
constexpr double kMean1 = 0.8, kVariance1 = 0.5, kMean2 = -0.6, kVariance2 = 0.7;  // of u_1 and u_2 of the posterior

const test::TwoNormals kPosterior{kMean1, kMean2, kVariance1, 0, kVariance2};

PriorTrainOptions train_options() {
  PriorTrainOptions o;
  o.updates = 700;
  o.batch = 512;
  o.micro_batch = 256;
  o.rate.base = 1e-2;
  o.rate.warmup = 10;
  o.rate.final_fraction = 0.01;
  o.checkpoint_every = 400;
  return o;
}

struct World : test::LinearWorld {
  prior::EnergyOptions energy = test::plain_nets(16);
  prior::EnergyPrior prior{energy, backbone.groups(), prior::make_marginal_schedule(), 3};
  // The nets hold the averaged weights afterwards.
  Outcome train(
      const std::filesystem::path& directory, const PriorTrainOptions& options, const StopFlag* stop = nullptr) {
    const TrainingRun run{directory, {{"a", "1"}}, comm, logger, stop};
    const auto objective = make_nce(options,
        {prior, energy, backbone, {}, 3,
            [](const MicroBatches& batches, std::int64_t first) {
              return test::gaussian_source(kPosterior, batches, first);
            }},
        run);
    TrainingLoop loop(*objective, run);
    const Outcome outcome = loop.run().outcome;
    const c10::NoGradGuard no_grad;
    for (std::size_t i : {0u, 1u}) prior.bucket(i).params().flat().copy_(loop.ema(i).flat());
    return outcome;
  }
};

double log_normal(double z, double mean, double variance) {
  return -0.5 * std::log(variance) - (z - mean) * (z - mean) / (2 * variance);
}

// Classifier 2 sees z_2 of both with u_1 of the posterior: N(c m_1 + d m_2, c^2 v_1 + d^2 v_2)
// against N(c m_1, c^2 v_1 + d^2). Judged where both densities lie; a net of 16 units after 700
// updates of 512 pairs is within 0.15 of the best logits, which range over 2.
TEST(Nce, LogitsAreTheLogDensityRatiosGivenTheLayersAbove) {
  World world;
  ASSERT_EQ(world.train(world.folder / "run", train_options()), Outcome::kDone);
  constexpr double c = LinearBackbone::c, d = LinearBackbone::d;
  const double mean = c * kMean1, of_top = c * c * kVariance1;
  const auto ratio = [&](std::size_t layer, double z) {
    return layer == 0
               ? log_normal(z, kMean1, kVariance1) - log_normal(z, 0, 1)
               : log_normal(z, mean + d * kMean2, of_top + d * d * kVariance2) - log_normal(z, mean, of_top + d * d);
  };
  const c10::NoGradGuard no_grad;
  for (std::size_t layer : {0u, 1u}) {
    const at::Tensor z = at::linspace(-1.0, 2.0, 31);
    const prior::EnergyNet& net = world.prior.bucket(layer);
    const auto weights = net.weights(false);
    const auto logits =
        test::values_of(net.outputs(weights, net.select(weights, at::Tensor()), z.view({-1, 1, 1, 1})).f);
    for (std::size_t k = 0; k < logits.size(); ++k)
      EXPECT_NEAR(logits[k], ratio(layer, -1.0 + 0.1 * static_cast<double>(k)), 0.15) << layer << " " << k;
  }
}

TEST(Nce, ResumeEqualsUninterruptedBitByBit) {
  PriorTrainOptions options = train_options();
  options.updates = 6;
  options.checkpoint_every = 2;
  const auto weights = [](World& world) {
    std::vector<double> out;
    for (const auto& t : world.prior.named_tensors()) {
      const auto values = test::values_of(t.tensor);
      out.insert(out.end(), values.begin(), values.end());
    }
    return out;
  };
  World whole, parts;
  EXPECT_EQ(whole.train(whole.folder / "run", options), Outcome::kDone);
  {
    const StopFlag stop;
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(World().train(parts.folder / "run", options, &stop), Outcome::kStopped) << i;
  }
  EXPECT_EQ(parts.train(parts.folder / "run", options), Outcome::kDone);
  EXPECT_EQ(weights(whole), weights(parts));
}

TEST(Nce, DivergenceIsRolledBackAndThenAnError) {
  World world;
  PriorTrainOptions options = train_options();
  options.updates = 20;
  options.rate.base = 1e30;
  options.rate.warmup = 0;
  options.max_rollbacks = 2;
  test::expect_error(
      ExitCode::kDiverged, {"train-nce diverged", "2 rollbacks"}, [&] { world.train(world.folder / "run", options); });
}

}  // namespace
}  // namespace hebm::train
