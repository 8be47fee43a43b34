// Algorithm 1 and 2 whole, on a linear two-layer generator whose latents are normal: what is learnt
// and drawn has the moments of the kData.
#include "train/diffusion.h"
#include <ATen/TensorOperators.h>
#include <cmath>
#include "../prior/linear_backbone.h"
#include "comm/single_communicator.h"
#include "gaussian_source.h"
#include "prior/reverse_chain.h"
#include "support.h"

namespace hebm::train {
namespace {

using test::LinearBackbone;
constexpr double c = LinearBackbone::c, d = LinearBackbone::d;

// Data that two nets can make (Eq. 8) and that is far from N(0, I): means 0.34, -0.67, variances
// 0.47, 0.85, and of z_2 0.50.
constexpr test::TwoNormals kData = test::tilted(1.5, -0.4, -1.2, -0.3);

// Trains with Alg. 1 and draws 4,000 samples with Alg. 2. Eq. 12 is at rest where the means of
// every function of z_i that a net can make agree: those of z_i and z_i^2 are compared. Five
// standard errors of 4,000 draws are 0.08 of a standard deviation in a mean and 0.11 in a variance;
// as much again is allowed for what nets of 16 units have learnt after `updates`.
void expect_data_learnt(const prior::Schedule& schedule, const prior::LangevinOptions& langevin,
    TrainingChain training_chain = TrainingChain::kData) {
  const test::OneThread one_thread;
  const test::TempFolder folder;
  const LinearBackbone backbone;
  const prior::EnergyOptions energy = test::plain_nets(16);
  prior::EnergyPrior prior(energy, backbone.groups(), schedule, 3);
  PriorTrainOptions options;
  options.updates = 150;
  options.chain = training_chain;
  options.batch = 512;
  options.micro_batch = 256;
  options.rate.base = 1e-2;
  options.rate.warmup = 10;
  options.rate.final_fraction = 0.01;
  comm::SingleCommunicator comm;
  Logger logger{false};
  const auto source = [&](const MicroBatches& batches, std::int64_t first) {
    return test::gaussian_source(kData, batches, first);
  };
  const TrainingRun run{folder / "run", {{"a", "1"}}, comm, logger};
  DiffusionObjective objective(options, {prior, energy, backbone, langevin, 3, source}, run);
  ASSERT_EQ(TrainingLoop(objective, run).run().outcome, Outcome::kDone);

  constexpr std::int64_t kCount = 4000;
  const prior::ReverseChain chain(prior, backbone, langevin);
  const auto z = backbone.transport(chain.sample(prior::chain_ids(7, 0, kCount)).to(at::kDouble));
  const double means[] = {kData.mean1, c * kData.mean1 + d * kData.mean2};
  const double variances[] = {kData.v11, c * c * kData.v11 + 2 * c * d * kData.v12 + d * d * kData.v22};
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(z[i].mean().item<double>(), means[i], 0.16 * std::sqrt(variances[i])) << "mean of z_" << i + 1;
    EXPECT_NEAR(z[i].var().item<double>(), variances[i], 0.22 * variances[i]) << "variance of z_" << i + 1;
  }
}

TEST(Diffusion, TheJointEbmDrawsTheData) {
  prior::LangevinOptions langevin;
  langevin.steps = 30;
  langevin.eta_marginal = 0.2;
  expect_data_learnt(prior::make_marginal_schedule(), langevin);
}

class DiffusionOnBothChains : public ::testing::TestWithParam<TrainingChain> {};

TEST_P(DiffusionOnBothChains, DrawsTheData) {
  prior::LangevinOptions langevin;
  langevin.steps = 20;
  langevin.step = 0.15;
  expect_data_learnt(prior::make_schedule({0.99995, 0.8, 0.0228}), langevin, GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Chains, DiffusionOnBothChains, ::testing::Values(TrainingChain::kData, TrainingChain::kReverse));

}  // namespace
}  // namespace hebm::train
