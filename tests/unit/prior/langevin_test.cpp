// The chain on a quadratic potential, F = -c |u|^2 / 2, whose moments after K steps have a closed
// form: no network is involved.
#include "prior/langevin.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "base/error.h"

namespace hebm::prior {
namespace {

constexpr double kCurvature = 0.7;

struct ChainMoments {
  double mean = 0, variance = 0;
};

// f = s^2 F, so the nets' gradient at y is -c s^2 y.
ChainMoments simulate(const Schedule& schedule, const LangevinOptions& options, std::int64_t t, double start) {
  constexpr std::int64_t kCount = 400, kDim = 500;
  const double s2 = step_variance(schedule, options, t);
  const at::Tensor u_next = at::full({kCount, kDim}, start, at::kFloat);
  const at::Tensor y = langevin(
      Chains(chain_ids(11, 0, kCount), t, at::kCPU), u_next,
      [&](const at::Tensor& u) { return u * (-kCurvature * s2); }, step_coefficients(schedule, options), options.steps)
                           .to(at::kDouble);
  return {y.mean().item<double>(), y.var().item<double>()};
}

// y' = a y + b + c_n n from y_0 = start: mean and variance after K steps.
ChainMoments closed_form(double a, double b, double noise, std::int64_t steps, double start) {
  const double ak = std::pow(a, static_cast<double>(steps));
  return {ak * start + b * (1 - ak) / (1 - a), noise * noise * (1 - ak * ak) / (1 - a * a)};
}

constexpr double kSamples = 400.0 * 500.0;

TEST(LangevinOptions, StepsAtZeroAreTheirOwnWhereTheyAreGiven) {
  LangevinOptions options;
  options.steps = 7;
  EXPECT_EQ(options.steps_at(0), 7);
  options.zero_steps = 9;
  EXPECT_EQ(options.steps_at(0), 9);
  EXPECT_EQ(options.steps_at(1), 7);
}

// The natural rule's K x step at every level; the paper's by its s_t^2; of one level from N(0, I)
// half of s^2 K.
TEST(Relaxation, IsKTimesTheStepAndNotedOutsideItsBounds) {
  LangevinOptions options;
  const Schedule schedule = make_schedule(3);
  for (std::int64_t t = 0; t < 3; ++t) EXPECT_NEAR(relaxation_times(schedule, options, t), 0.3, 1e-12) << t;
  EXPECT_EQ(relaxation_note(schedule, options), "") << "30 steps of 0.01";
  options.zero_steps = 29;
  EXPECT_THAT(relaxation_note(schedule, options), ::testing::HasSubstr("0.29 to 0.3 relaxation times"));
  EXPECT_THAT(relaxation_note(schedule, options), ::testing::HasSubstr("below 0.3 at 1 of 3 levels"));
  options.zero_steps = 0;
  options.by_level = {1.0, 1.0, 10.0};
  EXPECT_EQ(relaxation_note(schedule, options), "") << "3 at t = 2";
  options.steps = 31;
  EXPECT_THAT(relaxation_note(schedule, options), ::testing::HasSubstr("above 3 at 1 of 3 levels"));
  LangevinOptions paper;
  paper.step_rule = StepRule::kPaper;
  paper.steps = 50;
  const double alpha = schedule.alpha[1], sigma = schedule.sigma[1];
  EXPECT_NEAR(relaxation_times(schedule, paper, 0),
      50 * schedule.step_variance(0, paper.eta) / 2 * (1 + alpha * alpha / (sigma * sigma)), 1e-12);
  EXPECT_THAT(relaxation_note(schedule, paper), ::testing::HasSubstr("at 3 of 3 levels"));
  LangevinOptions marginal;
  marginal.steps = 50;
  marginal.eta_marginal = 0.06;
  EXPECT_NEAR(relaxation_times(make_marginal_schedule(), marginal, 0), 1.5, 1e-12);
}

class Chain : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(Chain, OfThePaperHasTheClosedFormMoments) {
  const std::int64_t t = GetParam();
  const Schedule schedule = make_schedule(3);
  LangevinOptions options;
  options.step_rule = StepRule::kPaper;
  options.integrator = Integrator::kPaper;
  options.start = ChainStart::kNext;
  options.eta = 3e-3;
  options.steps = 25;
  const double s2 = step_variance(schedule, options, t);
  EXPECT_DOUBLE_EQ(s2, schedule.step_variance(t, options.eta));
  const double alpha = schedule.alpha[static_cast<std::size_t>(t) + 1],
               sigma = schedule.sigma[static_cast<std::size_t>(t) + 1];
  const double w = t == 2 ? 0.0 : 1.0, start = 1.5;
  // Eq. 13: drift s^2/2 (-c y - w alpha (alpha y - u') / sigma^2 - y).
  const double a = 1 - 0.5 * s2 * (kCurvature + w * alpha * alpha / (sigma * sigma) + 1);
  const double b = 0.5 * s2 * w * alpha * start / (sigma * sigma);
  const ChainMoments expected = closed_form(a, b, std::sqrt(s2), options.steps, start);
  const ChainMoments got = simulate(schedule, options, t, start);
  EXPECT_NEAR(got.mean, expected.mean, 5 * std::sqrt(expected.variance / kSamples) + 1e-5);
  EXPECT_NEAR(got.variance, expected.variance, 5 * expected.variance * std::sqrt(2 / kSamples));
}

TEST_P(Chain, WithExactGaussianTermsIsExactWithoutEnergyAtAnyStep) {
  const std::int64_t t = GetParam();
  const Schedule schedule = make_schedule(3);
  LangevinOptions options;
  options.step = 1.5;  // far beyond what Euler could take
  options.steps = 20;
  const double precision = gaussian_precision(schedule, t);
  const auto c = step_coefficients(schedule, options)[static_cast<std::size_t>(t)];
  // Stationary: mean m = c_u u' / (1 - c_y) = w alpha u' / (sigma^2 P), variance c_n^2 / (1 -
  // c_y^2) = 1 / P.
  const double alpha = schedule.alpha[static_cast<std::size_t>(t) + 1],
               sigma = schedule.sigma[static_cast<std::size_t>(t) + 1];
  EXPECT_NEAR(c.u_next / (1 - c.y), schedule.kernel_weight(t) * alpha / (sigma * sigma * precision), 1e-12);
  EXPECT_NEAR(c.noise * c.noise / (1 - c.y * c.y), 1 / precision, 1e-12);
}

TEST_P(Chain, ExactAndPaperAgreeToFirstOrderInTheStep) {
  const auto t = static_cast<std::size_t>(GetParam());
  const Schedule schedule = make_schedule(3);
  // The coefficients differ by O(s^4) in y and u_next, O(s^2) in the gradient's and O(s^3) in the
  // noise's: halving s^2 shrinks the difference by 4, 4, 2 and 2^1.5.
  const auto difference = [&](double step) {
    LangevinOptions exact, euler;
    exact.step = euler.step = step;
    euler.integrator = Integrator::kPaper;
    const auto a = step_coefficients(schedule, exact)[t], b = step_coefficients(schedule, euler)[t];
    return StepCoefficients{std::fabs(a.y - b.y), std::fabs(a.u_next - b.u_next), std::fabs(a.gradient - b.gradient),
        std::fabs(a.noise - b.noise)};
  };
  const auto coarse = difference(2e-3), fine = difference(1e-3);
  EXPECT_NEAR(coarse.y / fine.y, 4.0, 0.02);
  if (GetParam() < 2) {
    EXPECT_NEAR(coarse.u_next / fine.u_next, 4.0, 0.02);
  }
  EXPECT_NEAR(coarse.gradient / fine.gradient, 2.0, 0.02);
  EXPECT_NEAR(coarse.noise / fine.noise, std::pow(2.0, 1.5), 0.02);
}

TEST_P(Chain, StationaryVarianceErrorIsFirstOrderInTheStep) {
  const auto t = static_cast<std::size_t>(GetParam());
  const Schedule schedule = make_schedule(3);
  const double precision = gaussian_precision(schedule, GetParam());
  for (const Integrator integrator : {Integrator::kPaper, Integrator::kExact}) {
    const auto error = [&](double step) {
      LangevinOptions options;
      options.step = step;
      options.integrator = integrator;
      const auto c = step_coefficients(schedule, options)[t];
      const double a = c.y - c.gradient * kCurvature * step_variance(schedule, options, GetParam());
      return std::fabs(c.noise * c.noise / (1 - a * a) - 1 / (precision + kCurvature));
    };
    EXPECT_NEAR(error(2e-3) / error(1e-3), 2.0, 0.02) << name_of(integrator);
  }
}

TEST_P(Chain, GaussianTermsInClosedFormAreAutogradsGradient) {
  const std::int64_t t = GetParam();
  const Schedule schedule = make_schedule(3);
  LangevinOptions options;
  options.integrator = Integrator::kPaper;
  const double s2 = step_variance(schedule, options, t), w = schedule.kernel_weight(t);
  const double alpha = schedule.alpha[static_cast<std::size_t>(t) + 1],
               sigma = schedule.sigma[static_cast<std::size_t>(t) + 1];
  const at::Tensor y = at::full({3}, 0.4, at::kDouble).requires_grad_(true), u = at::full({3}, -1.3, at::kDouble);
  const at::Tensor log_density =
      -0.5 * y.square().sum() - w * (alpha * y - u).square().sum() / (2 * sigma * sigma);  // Eq. 13
  const double gradient = torch::autograd::grad({log_density}, {y})[0][0].item<double>();
  const auto c = step_coefficients(schedule, options)[static_cast<std::size_t>(t)];
  EXPECT_NEAR(c.y * 0.4 + c.u_next * -1.3, 0.4 + 0.5 * s2 * gradient, 1e-14);
}

INSTANTIATE_TEST_SUITE_P(Levels, Chain, ::testing::Values(0, 1, 2));

TEST(Langevin, DoesNotDependOnTheBatchAndKnowsEveryKey) {
  const Schedule schedule = make_schedule(2);
  LangevinOptions options;
  options.steps = 4;
  const auto coefficients = step_coefficients(schedule, options);
  const at::Tensor u = at::full({3, 40}, 0.2, at::kFloat);
  const auto zero = [](const at::Tensor& y) { return y * 0.0; };
  const auto end_of = [&](const ChainIds& ids, const std::vector<std::int64_t>& levels) {
    return langevin(Chains(ids, levels, at::kCPU), u.narrow(0, 0, ids.count()), zero, coefficients, 4);
  };
  const at::Tensor all = end_of({{4, 5, 6}, {0, 0, 0}, 1}, {0, 1, 0}), last = end_of({{6}, {0}, 1}, {0});
  EXPECT_TRUE(all.narrow(0, 2, 1).equal(last));
  EXPECT_FALSE(all[0].equal(all[2])) << "other chains have other noise";
  EXPECT_FALSE(end_of({{4, 5, 6}, {0, 0, 0}, 2}, {0, 1, 0}).equal(all)) << "seed";
  EXPECT_FALSE(end_of({{4, 5, 6}, {0, 0, 0}, 1, 1}, {0, 1, 0}).equal(all)) << "attempt";
  EXPECT_FALSE(end_of({{4, 5, 6}, {1, 1, 1}, 1}, {0, 1, 0}).equal(all)) << "visit";
}

TEST(Langevin, ShowsEveryStateAndChecksItsArguments) {
  const Schedule schedule = make_schedule(2);
  const LangevinOptions options;
  const at::Tensor u = at::full({1, 8}, 0.2, at::kFloat);
  std::vector<std::int64_t> seen;
  const auto coefficients = step_coefficients(schedule, options);
  const auto zero = [](const at::Tensor& y) { return y * 0.0; };
  const Chains chains({{0}, {0}}, 0, at::kCPU);
  langevin(
      chains, u, zero, coefficients, 3, {.observer = [&](std::int64_t k, const at::Tensor&) { seen.push_back(k); }});
  EXPECT_EQ(seen, (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_THROW(langevin(chains, at::full({2, 8}, 0.2, at::kFloat), zero, coefficients, 3), Error);
  EXPECT_THROW(langevin(chains, u, zero, coefficients, 3, {.start = u.narrow(1, 0, 7)}), Error);
  EXPECT_THROW(langevin(Chains({{0}, {0}}, 2, at::kCPU), u, zero, coefficients, 3), Error) << "a level of others";
}

}  // namespace
}  // namespace hebm::prior
