// The marginal EBM (prior.kind joint, Eq. 8): its schedule, its chain, and what is learnt, against
// closed forms of a linear two-layer generator.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <array>
#include <cmath>
#include "../nets/support.h"
#include "base/error.h"
#include "linear_backbone.h"
#include "nets/tensor_io.h"
#include "prior/forward_pair.h"
#include "prior/langevin.h"
#include "prior/prior_file.h"
#include "prior/reverse_chain.h"

namespace hebm::prior {
namespace {

constexpr std::int64_t
    kRows = 10,
    kHalf = 250;  // 2,500 copies of the two-layer problem: u_1 in the left half of the columns, u_2 in the right

ChainIds rows(std::uint64_t seed, std::uint32_t visit) {
  ChainIds ids = chain_ids(seed, 0, kRows);
  ids.visit.assign(ids.item.size(), visit);
  return ids;
}

TEST(MarginalSchedule, StartsTheChainAtNoiseAlone) {
  const Schedule schedule = make_marginal_schedule();
  EXPECT_EQ(schedule.num_levels, 1);
  EXPECT_EQ(schedule.alpha_cum[0], make_schedule(3).alpha_cum[0]);
  EXPECT_EQ(schedule.alpha_cum[1], 0.0);
  EXPECT_EQ(schedule.sigma[1], 1.0);
  const at::Tensor u0 = at::full({kRows, 2 * kHalf}, 3.0, at::kFloat);
  const Chains chains(rows(7, 1), 0, at::kCPU);
  const NoisyPair pair = make_pair(chains, u0, schedule);
  const at::Tensor noise = chains.normals(Purpose::kTransitionNoise, 2 * kHalf);
  EXPECT_TRUE(pair.u_next.equal(noise));
}

TEST(MarginalLangevin, HasItsOwnStepUnderBothRules) {
  for (const StepRule rule : {StepRule::kNatural, StepRule::kPaper}) {
    LangevinOptions options;
    options.step_rule = rule;
    options.step = 0.3;
    options.eta = 1e-5;
    options.by_level = {7.0};
    options.eta_marginal = 0.125;
    EXPECT_DOUBLE_EQ(step_variance(make_marginal_schedule(), options, 0), 0.125) << name_of(rule);
  }
  // On one level of a diffusion the natural rule is the same number: s^2 = 2 step / P with P = 1.
  LangevinOptions natural;
  natural.step = 0.01;
  EXPECT_DOUBLE_EQ(step_variance(make_schedule(1), natural, 0), LangevinOptions().eta_marginal);
}

// Eq. 8 with F = sum_i a_i z_i + b_i z_i^2 on the linear generator. The family is exponential, so
// learning from draws of it (Eq. 12) has one answer: these a and b.
struct LinearGaussian {
  static constexpr double c = test::LinearBackbone::c, d = test::LinearBackbone::d;
  static constexpr std::array<double, 4> truth = {0.6, -0.4, -0.5, -0.3};  // a_1, b_1, a_2, b_2
  static constexpr test::TwoNormals law = test::tilted(truth[0], truth[1], truth[2], truth[3]);

  static at::Tensor draw(std::uint32_t visit) {
    const at::Tensor n = Chains(rows(5, visit), 0, at::kCPU).normals(Purpose::kTest, 2 * kHalf);
    return at::cat(law.draw(n.narrow(1, 0, kHalf), n.narrow(1, kHalf, kHalf)), 1);
  }
  static std::array<at::Tensor, 2> transport(const at::Tensor& u) {
    return {u.narrow(1, 0, kHalf), c * u.narrow(1, 0, kHalf) + d * u.narrow(1, kHalf, kHalf)};
  }
};

// Chains from N(0, I) with the gradient of f = s^2 F.
at::Tensor chain_end(const std::array<double, 4>& theta, const LangevinOptions& options, std::uint32_t visit) {
  const Schedule schedule = make_marginal_schedule();
  const double s2 = step_variance(schedule, options, 0);
  const auto gradient = [&](const at::Tensor& u) {
    const auto z = LinearGaussian::transport(u);
    const at::Tensor g1 = s2 * (theta[0] + 2 * theta[1] * z[0]), g2 = s2 * (theta[2] + 2 * theta[3] * z[1]);
    return at::cat({g1 + LinearGaussian::c * g2, LinearGaussian::d * g2}, 1);
  };
  const Chains chains(rows(5, visit), 0, at::kCPU);
  return langevin(chains, chains.normals(Purpose::kPriorNoise, 2 * kHalf), gradient,
      step_coefficients(schedule, options), options.steps);
}

LangevinOptions marginal_options() {
  LangevinOptions options;
  options.steps = 80;
  options.eta_marginal = 0.1;
  return options;
}

// 80 steps of s^2 / 2 = 0.05 at precisions of 1.1 and more leave e^-4.5 = 1 % of the start; the
// Euler part of the step inflates the variances by at most s^2 / 4 (P - 1) = 3 %; the noise of
// 2,500 copies has standard error 2 %, five of them 10 %.
TEST(MarginalChain, HasTheMomentsOfEq8) {
  const test::TwoNormals& law = LinearGaussian::law;
  const at::Tensor u = chain_end(LinearGaussian::truth, marginal_options(), 3).to(at::kDouble);
  const at::Tensor u1 = u.narrow(1, 0, kHalf), u2 = u.narrow(1, kHalf, kHalf);
  EXPECT_NEAR(u1.mean().item<double>(), law.mean1, 0.1 * std::sqrt(law.v11));
  EXPECT_NEAR(u2.mean().item<double>(), law.mean2, 0.1 * std::sqrt(law.v22));
  EXPECT_NEAR(u1.var().item<double>(), law.v11, 0.17 * law.v11);
  EXPECT_NEAR(u2.var().item<double>(), law.v22, 0.17 * law.v22);
  EXPECT_NEAR(((u1 - u1.mean()) * (u2 - u2.mean())).mean().item<double>(), law.v12, 0.1 * std::sqrt(law.v11 * law.v22));
}

// The reverse chain of one level is K steps from N(0, I), bit by bit; of logits with s^2 times the
// gradient.
TEST(MarginalChain, IsTheReverseChainOfOneLevel) {
  const test::LinearBackbone backbone;
  const EnergyPrior prior(test::plain_nets(4), backbone.groups(), make_marginal_schedule(), 3);
  LangevinOptions options;
  options.steps = 7;
  options.eta_marginal = 0.3;
  const ChainIds ids = chain_ids(5, 0, 20);
  const Chains chains(ids, 0, at::kCPU);
  const auto weights = prior.frozen_weights();
  const Potential potential(prior, backbone, weights, chains);
  auto coefficients = step_coefficients(prior.schedule(), options);
  const auto steps = [&] {
    return langevin(
        chains, chains.normals(Purpose::kPriorNoise, backbone.dim()),
        [&](const at::Tensor& y) { return potential.gradient(y); }, coefficients, options.steps);
  };
  const at::Tensor u = steps();
  EXPECT_TRUE(u.equal(ReverseChain(prior, backbone, options).sample(ids)));
  EXPECT_FALSE(u.equal(prior_noise(ids, backbone.dim(), at::kCPU)));
  coefficients[0].gradient *= options.eta_marginal;
  const at::Tensor of_logits = steps();
  EXPECT_TRUE(of_logits.equal(ReverseChain(prior, backbone, options, NetOutput::kLogit).sample(ids)));
  EXPECT_FALSE(of_logits.equal(u));
}

// Biases as above (5 % of b at most); the average of the last updates' iterates has a standard
// error of 0.01 to 0.02.
TEST(JointEbm, LearnsTheTiltOfALinearGaussianGenerator) {
  const LangevinOptions options = marginal_options();
  const double s2 = step_variance(make_marginal_schedule(), options, 0);
  const at::Tensor weight = at::full({kRows, kHalf}, 1.0 / s2, at::kFloat);
  std::array<double, 4> theta{}, average{};
  constexpr std::uint32_t kUpdates = 160, kAveraged = 80;
  for (std::uint32_t update = 0; update < kUpdates; ++update) {
    const auto positive = LinearGaussian::transport(LinearGaussian::draw(update)),
               negative = LinearGaussian::transport(chain_end(theta, options, update));
    const c10::AutoGradMode grad_on(true);
    for (std::size_t i = 0; i < 2; ++i) {
      const at::Tensor a = at::tensor(theta[2 * i], at::kFloat).requires_grad_(true),
                       b = at::tensor(theta[2 * i + 1], at::kFloat).requires_grad_(true);
      const auto f = [&](const at::Tensor& z) { return s2 * (a * z + b * z.square()); };
      const at::Tensor loss = contrastive_loss(f(positive[i]), f(negative[i]), weight, 0.0, kRows * kHalf);
      const auto gradient = torch::autograd::grad({loss}, {a, b});
      theta[2 * i] -= 0.3 * gradient[0].item<double>();
      theta[2 * i + 1] -= 0.3 * gradient[1].item<double>();
    }
    for (std::size_t p = 0; p < 4 && update >= kUpdates - kAveraged; ++p) average[p] += theta[p] / kAveraged;
  }
  for (std::size_t p = 0; p < 4; ++p) EXPECT_NEAR(average[p], LinearGaussian::truth[p], 0.07) << p;
}

TEST(PriorKinds, AFileIsTakenForItsKindAlone) {
  const test::TempFolder folder;
  const std::vector<LatentShape> groups = {{2, 2, 2}};
  EnergyOptions energy;
  energy.width = 4;
  const EnergyPrior prior(energy, groups, make_marginal_schedule(), 5);
  save_prior(folder / "joint.safetensors", prior, energy, groups, "vae", {{"prior.kind", "joint"}});
  const LoadedPrior loaded = load_prior(folder / "joint.safetensors", groups, "vae", at::kFloat, "joint");
  EXPECT_EQ(loaded.kind, "joint");
  EXPECT_EQ(loaded.prior->schedule().alpha_cum, make_marginal_schedule().alpha_cum);
  EXPECT_TRUE(loaded.prior->schedule().marginal);
  const auto stored =
      nets::metadata_json(storage::SafetensorsFile(folder / "joint.safetensors"), "architecture").at("alpha_cum");
  EXPECT_EQ(stored, nlohmann::json({make_schedule(1).alpha_cum[0], 1e-12}));  // since the first version of the file
  test::expect_error(ExitCode::kUsage, {"joint.safetensors", "'joint'", "'diffusion'"},
      [&] { load_prior(folder / "joint.safetensors", groups, "vae"); });
  save_prior(folder / "old.safetensors", prior, energy, groups, "vae", nlohmann::json::object());
  EXPECT_EQ(load_prior(folder / "old.safetensors", groups, "vae").kind, "diffusion");
  test::expect_error(ExitCode::kUsage, {"old.safetensors", "'joint'"},
      [&] { load_prior(folder / "old.safetensors", groups, "vae", at::kFloat, "joint"); });
}

}  // namespace
}  // namespace hebm::prior
