// Where the chain of a level starts (langevin.start): its law, and what the other start leaves in
// u_0, against closed forms without energy (f = 0).
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <cmath>
#include "linear_backbone.h"
#include "prior/langevin.h"
#include "prior/reverse_chain.h"

namespace hebm::prior {
namespace {

at::Tensor no_energy(const at::Tensor& y) { return y * 0.0; }

struct ByLevel : ::testing::TestWithParam<std::int64_t> {};

// y_0 ~ N(alpha u', sigma^2) below the marginal level, u' itself there; no step moves that law.
TEST_P(ByLevel, TheKernelsStartIsTheLawOfTheGaussianTerms) {
  const std::int64_t t = GetParam();
  const auto next = static_cast<std::size_t>(t) + 1;
  const Schedule schedule = make_schedule(3);
  LangevinOptions options;
  options.step = 0.2;
  constexpr std::int64_t kCount = 400, kDim = 500;
  const Chains chains(chain_ids(11, 0, kCount), t, at::kCPU);
  const at::Tensor u_next = at::full({kCount, kDim}, 1.5, at::kFloat);
  const auto after = [&](std::int64_t steps) {
    return langevin(chains, u_next, no_energy, step_coefficients(schedule, options), steps);
  };
  if (t == 2) {
    EXPECT_TRUE(after(0).equal(u_next)) << "u_T ~ N(0, I) has the law already";
    return;
  }
  const double sigma = schedule.sigma[next], n = kCount * kDim;
  for (const std::int64_t steps : {0, 3}) {
    const at::Tensor y = after(steps).to(at::kDouble);
    EXPECT_NEAR(y.mean().item<double>(), 1.5 * schedule.alpha[next], 5 * sigma / std::sqrt(n)) << steps;
    EXPECT_NEAR(y.var().item<double>(), sigma * sigma, 5 * sigma * sigma * std::sqrt(2 / n)) << steps;
  }
  options.start = ChainStart::kNext;
  EXPECT_TRUE(after(0).equal(u_next));
}
INSTANTIATE_TEST_SUITE_P(Levels, ByLevel, ::testing::Values(0, 1, 2));

TEST(ChainStart, HasNoiseOfItsOwnAndFollowsItsFactor) {
  const Schedule schedule = make_schedule(3);
  LangevinOptions options;
  const ChainIds ids = chain_ids(11, 0, 4);
  const Chains chains(ids, 1, at::kCPU);
  const at::Tensor u_next = at::full({4, 9}, -0.5, at::kFloat);
  const auto start = [&](const Chains& of) {
    return langevin(of, u_next, no_energy, step_coefficients(schedule, options), 0);
  };
  const at::Tensor expected = chains.normals(Purpose::kChainStart, 9) * schedule.sigma[2] + u_next * schedule.alpha[2];
  EXPECT_LT((start(chains) - expected).abs().max().item<double>(), 1e-6);
  EXPECT_FALSE(chains.normals(Purpose::kChainStart, 9).equal(chains.normals(Purpose::kLangevin, 9)));
  // Row by row: the start of a batch of mixed levels is that of each level alone.
  const at::Tensor mixed = start(Chains(ids, {0, 1, 2, 1}, at::kCPU));
  EXPECT_TRUE(mixed[1].equal(start(chains)[1]));
  EXPECT_TRUE(mixed[2].equal(u_next[2]));
  options.noise = 0.0;
  EXPECT_LT((start(chains) - u_next * schedule.alpha[2]).abs().max().item<double>(), 1e-6);
}

// Standard deviation of u_0 by the recursion over levels: u_t = a u_{t+1} + n, from u_T ~ N(0, 1).
// K steps leave r = exp(-K step) of the start; of the level's own law N(alpha u', sigma^2) there is
// 1 - r of the mean and 1 - r^2 of the variance.
double closed_form(const Schedule& schedule, const LangevinOptions& options) {
  double variance = 1;
  const double r = std::exp(-static_cast<double>(options.steps) * options.step);
  for (std::int64_t t = schedule.num_levels - 2; t >= 0; --t) {
    const double alpha = schedule.alpha[static_cast<std::size_t>(t) + 1];
    const bool at_u_next = options.start == ChainStart::kNext;
    const double a = r * (at_u_next ? 1.0 : alpha) + (1 - r) * alpha;
    variance = a * a * variance + (1 - alpha * alpha) * (at_u_next ? 1 - r * r : 1.0);
  }
  return std::sqrt(variance);
}

// Five standard errors: 0.018 of 200 x 200 numbers by the steps alone, 0.04 of 2 x 4,000 by the
// chain that draws, whose nets give 0.
TEST(ChainStart, AtUNextLeavesASurplusOfVarianceThatTheKernelsDoesNot) {
  struct Case {
    std::int64_t num_levels;
    ChainStart start;
    double deviation;
  };
  const test::LinearBackbone backbone;
  EnergyOptions energy = test::plain_nets(4);
  energy.gain = 0.0;
  for (const auto& [num_levels, start, deviation] : {Case{3, ChainStart::kNext, 1.089}, {6, ChainStart::kNext, 1.133},
           {3, ChainStart::kKernel, 1.0}, {6, ChainStart::kKernel, 1.0}}) {
    SCOPED_TRACE(fmt::format("T = {}, {}", num_levels, name_of(start)));
    LangevinOptions options;
    options.steps = 50;
    options.step = 0.01;
    options.start = start;
    const Schedule schedule = make_schedule(num_levels);
    EXPECT_NEAR(closed_form(schedule, options), deviation, 5e-4);
    const ChainIds ids = chain_ids(7, 0, 200);
    at::Tensor u = prior_noise(ids, 200, at::kCPU);
    for (std::int64_t t = num_levels - 1; t >= 0; --t)
      u = langevin(Chains(ids, t, at::kCPU), u, no_energy, step_coefficients(schedule, options), options.steps);
    EXPECT_NEAR(u.to(at::kDouble).square().mean().sqrt().item<double>(), deviation, 0.018);
    if (num_levels > 3) continue;
    const EnergyPrior prior(energy, backbone.groups(), schedule, 1);
    const at::Tensor drawn = ReverseChain(prior, backbone, options).sample(chain_ids(7, 0, 4000)).to(at::kDouble);
    EXPECT_NEAR(drawn.square().mean().sqrt().item<double>(), deviation, 0.04);
  }
}

}  // namespace
}  // namespace hebm::prior
