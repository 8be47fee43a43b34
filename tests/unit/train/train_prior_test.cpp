// Algorithm 1 and 2 whole, on a linear two-layer generator whose latents are normal: what is learnt and drawn has the moments of the data.
#include "train/train_prior.h"

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

// Eq. 8 with F = sum_i a_i z_i + b_i z_i^2, z_1 = u_1, z_2 = c u_1 + d u_2, which two nets can make: precision P = I - 2 (b_1 e e^T + b_2 w w^T), w = (c, d), and mean
// P^-1 (a_1 e + a_2 w). Data of this law, which is far from N(0, I): means 0.34, -0.67, variances 0.47, 0.85, and of z_2 0.50.
test::TwoNormals tilted() {
  constexpr double a1 = 1.5, b1 = -0.4, a2 = -1.2, b2 = -0.3;
  constexpr double p11 = 1 - 2 * (b1 + b2 * c * c), p12 = -2 * b2 * c * d, p22 = 1 - 2 * b2 * d * d, det = p11 * p22 - p12 * p12;
  constexpr double v11 = p22 / det, v12 = -p12 / det, v22 = p11 / det;
  return {v11 * (a1 + a2 * c) + v12 * a2 * d, v12 * (a1 + a2 * c) + v22 * a2 * d, v11, v12, v22};
}

// Trains with Alg. 1 and draws 4,000 samples with Alg. 2. Eq. 12 is at rest where the means of every function of z_i that a net can make agree: those of z_i and z_i^2
// are compared. Five standard errors of 4,000 draws are 0.08 of a standard deviation in a mean and 0.11 in a variance; as much again is allowed for
// what nets of 16 units have learnt after `updates`.
void expect_data_learnt(const prior::Schedule& schedule, const prior::LangevinOptions& langevin) {
  const test::OneThread one_thread;
  const test::TempFolder folder;
  const LinearBackbone backbone;
  const test::TwoNormals data = tilted();
  prior::EnergyOptions energy;
  energy.width = 16;
  energy.spectral_norm = false;
  prior::EnergyPrior prior(energy, backbone.groups(), schedule, 3);
  PriorTrainOptions options;
  options.updates = 150;
  options.batch = 512;
  options.micro_batch = 256;
  options.learning_rate = 1e-2;
  options.warmup = 10;
  options.final_fraction = 0.01;
  comm::SingleCommunicator comm;
  Logger logger{false};
  PriorTrainer trainer(options, langevin, prior, energy, backbone, 3, folder / "run", {{"a", "1"}}, comm, logger);
  const auto source = [&](const MicroBatches& units, std::int64_t first) { return std::make_unique<test::GaussianSource>(data, units, first); };
  ASSERT_EQ(trainer.run(source, StopFlag()), Outcome::kDone);

  constexpr std::int64_t kCount = 4000;
  const prior::ReverseChain chain(prior, backbone, langevin);
  const auto z = backbone.transport(chain.sample(7, prior::chain_ids(0, kCount)).to(at::kDouble));
  const double means[] = {data.mean1, c * data.mean1 + d * data.mean2};
  const double variances[] = {data.v11, c * c * data.v11 + 2 * c * d * data.v12 + d * d * data.v22};
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(z[i].mean().item<double>(), means[i], 0.16 * std::sqrt(variances[i])) << "mean of z_" << i + 1;
    EXPECT_NEAR(z[i].var().item<double>(), variances[i], 0.22 * variances[i]) << "variance of z_" << i + 1;
  }
}

TEST(TrainPrior, TheJointEbmDrawsTheData) {
  prior::LangevinOptions langevin;
  langevin.steps = 30;
  langevin.eta_marginal = 0.2;
  expect_data_learnt(prior::make_marginal_schedule(), langevin.marginal());
}

TEST(TrainPrior, TheDiffusionDrawsTheData) {
  prior::LangevinOptions langevin;
  langevin.steps = 20;
  langevin.step = 0.15;
  expect_data_learnt(prior::make_schedule({0.99995, 0.8, 0.0228}), langevin);
}

}  // namespace
}  // namespace hebm::train
