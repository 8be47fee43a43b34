// Chains with held layers, the noised values at which they are held, and the energy of a state:
// against closed forms.
#include "prior/reverse_chain.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include "../support.h"
#include "base/error.h"
#include "base/status.h"
#include "linear_backbone.h"
#include "prior/forward_pair.h"
#include "tiny_prior.h"

namespace hebm::prior {
namespace {

ChainIds ids_of(std::uint64_t seed, std::uint32_t count, std::uint32_t visit = 0) {
  ChainIds ids{{}, {}, seed};
  for (std::uint32_t b = 0; b < count; ++b) ids.item.push_back(b);
  ids.visit.assign(count, visit);
  return ids;
}

// A linear two-layer generator, z_1 = u_0, z_2 = a u_0 + b u_1, and F = -(z_2 - m)^2 / (2 v) of the
// lower layer alone. With u_1 = c held, the marginal level's p(u_0 | u_1 = c) ~ N(u_0; 0, 1) exp F
// is normal with precision P = 1 + a^2 / v and mean (a (m - b c) / v) / P.
TEST(HeldLayers, ChainOfTheFreeLayerHasTheConditionalsMoments) {
  constexpr double a = 1.2, b = 0.8, m = 0.9, v = 0.5, c = -0.7;
  constexpr std::int64_t kCount = 400, kHalf = 500, t = 2;
  const Schedule schedule = make_schedule(3);
  LangevinOptions options;
  options.step = 0.02;
  options.steps = 120;
  const double s2 = step_variance(schedule, options, t);
  const auto gradient = [&](const at::Tensor& y) {  // of f = s^2 F
    const at::Tensor slope = (a * y.narrow(1, 0, kHalf) + b * y.narrow(1, kHalf, kHalf) - m) * (-s2 / v);
    return at::cat({a * slope, b * slope}, 1);
  };
  const at::Tensor held = at::full({kCount, kHalf}, c, at::kFloat);
  const auto hold = [&](const at::Tensor& y) { y.narrow(1, kHalf, kHalf).copy_(held); };
  const at::Tensor start = at::full({kCount, 2 * kHalf}, 1.5, at::kFloat);  // of the marginal level: at u_T
  const auto coefficients = step_coefficients(schedule, options);
  const auto end = [&](const Constraint& constraint) {
    return langevin(Chains(ids_of(11, kCount), t, at::kCPU), start, gradient, coefficients, options.steps,
        {.constraint = constraint});
  };
  const at::Tensor y = end(hold);
  EXPECT_TRUE(y.narrow(1, kHalf, kHalf).equal(held));
  const at::Tensor free = y.narrow(1, 0, kHalf).to(at::kDouble);
  // Linear dynamics of the free layer: y' = r y + d + c_n n, from 1.5.
  const StepCoefficients k = coefficients[t];
  const double r = k.y - k.gradient * s2 * a * a / v, d = k.gradient * s2 * a * (m - b * c) / v;
  const double rk = std::pow(r, static_cast<double>(options.steps));
  const double mean = rk * 1.5 + d * (1 - rk) / (1 - r), variance = k.noise * k.noise * (1 - rk * rk) / (1 - r * r);
  const double precision = 1 + a * a / v, n = kCount * kHalf;
  EXPECT_NEAR(d / (1 - r), a * (m - b * c) / v / precision,
      1e-12);  // the chain's stationary mean is the conditional's at any step
  EXPECT_NEAR(variance, 1 / precision, 0.05 / precision);  // its variance to first order in the step
  EXPECT_NEAR(free.mean().item<double>(), mean, 5 * std::sqrt(variance / n));
  EXPECT_NEAR(free.var().item<double>(), variance, 5 * variance * std::sqrt(2 / n));
  // Not held, u_1 moves to the joint's mean, and u_0 with it.
  EXPECT_GT(std::fabs(end({}).narrow(1, 0, kHalf).to(at::kDouble).mean().item<double>() - mean), 0.1);
}

// The whole of Alg. 2 with nets that are linear, F = sum_i a_i z_i / s_t^2, on the linear
// generator: every level's chain is linear in u_{t+1}, u_t = A u_{t+1} + B g + n with g = df/du and
// n of variance C, so free layers have known means and variances, whatever the held ones are held
// at. Its start is linear in u_{t+1} too.
class HeldLayersByStart : public ::testing::TestWithParam<ChainStart> {};

TEST_P(HeldLayersByStart, TheReverseChainOfTheFreeLayerHasItsMoments) {
  constexpr double a1 = 0.09, a2 = -0.07, slope[] = {a1 + a2 * test::LinearBackbone::c, a2 * test::LinearBackbone::d};
  constexpr std::uint32_t kCount = 4000;
  const test::LinearBackbone backbone;
  EnergyOptions energy = test::plain_nets(4);
  energy.per_level = false;
  EnergyPrior prior(energy, backbone.groups(), make_schedule(3), 1);
  test::make_linear(prior.bucket(0), a1);
  test::make_linear(prior.bucket(1), a2);
  LangevinOptions options;
  options.steps = 12;
  options.step = 0.03;
  options.start = GetParam();
  double mean_of_slope = 0, variance = 1;  // of u_T
  for (std::int64_t t = 2; t >= 0; --t) {
    const StepCoefficients k = step_coefficients(prior.schedule(), options)[static_cast<std::size_t>(t)];
    const double rk = std::pow(k.y, 12.0), sum = (1 - rk) / (1 - k.y);
    const bool at_u_next = t == 2 || GetParam() == ChainStart::kNext;
    const auto next = static_cast<std::size_t>(t) + 1;
    const double a = rk * (at_u_next ? 1.0 : prior.schedule().alpha[next]) + sum * k.u_next,
                 spread = at_u_next ? 0.0 : rk * prior.schedule().sigma[next];
    mean_of_slope = a * mean_of_slope + sum * k.gradient;
    variance = a * a * variance + spread * spread + k.noise * k.noise * (1 - rk * rk) / (1 - k.y * k.y);
  }
  const ReverseChain chain(prior, backbone, options);
  const at::Tensor u0 = at::full({kCount, 2}, 1.7, at::kFloat);
  for (const std::int64_t free : {0, 1}) {
    const HeldLayers held = chain.held({1 - free}, u0, ids_of(9, kCount, 1));
    const at::Tensor u = chain.sample(ids_of(2, kCount, 1), {.held = &held}).to(at::kDouble);
    EXPECT_TRUE(u.select(1, 1 - free).eq(u0.select(1, 0)).all().item<bool>()) << free;
    const double mean = mean_of_slope * slope[free];
    EXPECT_GT(std::fabs(mean), 0.1) << "the nets do nothing here";
    EXPECT_NEAR(u.select(1, free).mean().item<double>(), mean, 5 * std::sqrt(variance / kCount)) << free;
    EXPECT_NEAR(u.select(1, free).var().item<double>(), variance, 5 * variance * std::sqrt(2.0 / kCount)) << free;
  }
}

INSTANTIATE_TEST_SUITE_P(Starts, HeldLayersByStart, ::testing::Values(ChainStart::kKernel, ChainStart::kNext));

// f = 0 and T = 1: the free layer's law given anything is N(0, I), and the exact chain leaves it so
// from the start; what is held stays, bit by bit.
TEST(HeldLayers, WithoutEnergyTheOthersAreStandardNormalAndDrawnAnew) {
  const vae::Hvae backbone(test::tiny_vae(), ImageShape{}, {.seed = 1});
  EnergyOptions energy = test::tiny_energy(true);
  energy.gain = 0.0;
  const EnergyPrior prior(energy, backbone.groups(), make_schedule(1), 5);
  LangevinOptions langevin;
  langevin.steps = 5;
  const ReverseChain chain(prior, backbone, langevin);
  constexpr std::uint32_t kCount = 300;
  const at::Tensor u0 = chain.sample(ids_of(3, kCount));
  const HeldLayers held = chain.held({1, 2}, u0, ids_of(3, kCount, 1));
  const at::Tensor drawn = chain.sample(ids_of(3, kCount, 1), {.held = &held});
  const std::int64_t top = backbone.groups()[0].size(), rest = backbone.dim() - top;
  EXPECT_TRUE(drawn.narrow(1, top, rest).equal(u0.narrow(1, top, rest)));
  const at::Tensor free = drawn.narrow(1, 0, top).to(at::kDouble), before = u0.narrow(1, 0, top).to(at::kDouble);
  const auto n = static_cast<double>(free.numel());
  EXPECT_NEAR(free.mean().item<double>(), 0.0, 5 / std::sqrt(n));
  EXPECT_NEAR(free.var().item<double>(), 1.0, 5 * std::sqrt(2 / n));
  EXPECT_NEAR((free * before).mean().item<double>(), 0.0, 5 / std::sqrt(n)) << "drawn anew, not moved";
}

TEST(ForwardTrajectory, HasTheMomentsOfEq7) {
  const Schedule schedule = make_schedule(3);
  constexpr std::uint32_t kCount = 400;
  constexpr std::int64_t kDim = 500;
  const at::Tensor u0 = at::full({kCount, kDim}, 1.3, at::kFloat);
  const auto path = forward_trajectory(u0, schedule, ids_of(7, kCount));
  ASSERT_EQ(path.size(), 3u);
  const double n = kCount * kDim;
  for (std::size_t t = 0; t < path.size(); ++t) {
    const at::Tensor u = path[t].to(at::kDouble);
    const double variance = schedule.sigma_cum[t] * schedule.sigma_cum[t];
    EXPECT_NEAR(u.mean().item<double>(), 1.3 * schedule.alpha_cum[t], 5 * std::sqrt(variance / n) + 1e-6) << t;
    EXPECT_NEAR(u.var().item<double>(), variance, 5 * variance * std::sqrt(2 / n) + 1e-6) << t;
    if (t == 0) continue;
    // One path, not separate draws: cov(u_{t-1}, u_t) = alpha[t] sigma_cum[t-1]^2.
    const double before = schedule.sigma_cum[t - 1] * schedule.sigma_cum[t - 1];
    const at::Tensor other = path[t - 1].to(at::kDouble);
    const double covariance = ((u - u.mean()) * (other - other.mean())).mean().item<double>();
    EXPECT_NEAR(covariance, schedule.alpha[t] * before, 5 * std::sqrt(variance * before / n)) << t;
  }
  EXPECT_TRUE(forward_trajectory(u0.narrow(0, 0, 3), schedule, ids_of(7, 3))[2].equal(path[2].narrow(0, 0, 3)));
  EXPECT_FALSE(forward_trajectory(u0, schedule, ids_of(7, kCount, 1))[2].equal(path[2]));
}

class Reverse : public ::testing::Test {
 protected:
  static constexpr std::int64_t kBatch = 5;
  Reverse()
      : backbone_(test::tiny_vae(), ImageShape{}, {.seed = 1}),
        prior_(test::tiny_energy(true), backbone_.groups(), make_schedule(3), 5),
        chain_(prior_, backbone_, langevin()) {}
  static LangevinOptions langevin() {
    LangevinOptions o;
    o.steps = 4;
    return o;
  }
  at::Tensor some_u() const { return Chains(ids_of(3, kBatch), 0, at::kCPU).normals(Purpose::kTest, backbone_.dim()); }
  HeldLayers held(std::vector<std::int64_t> layers, const at::Tensor& u0) const {
    return chain_.held(std::move(layers), u0, ids_of(9, kBatch, 1));
  }

  vae::Hvae backbone_;
  EnergyPrior prior_;
  ReverseChain chain_;
};

TEST_F(Reverse, HeldLayersNeverMove) {
  const at::Tensor u0 = some_u();
  const HeldLayers middle = held({1}, u0);
  const auto layer = [&](const at::Tensor& u, std::size_t i) { return vae::split_layers(u, backbone_.groups())[i]; };
  std::int64_t seen = 0;
  const auto look = [&](std::int64_t t, std::int64_t k, const at::Tensor& y) {
    EXPECT_TRUE(layer(y, 1).equal(layer(middle.u_t[static_cast<std::size_t>(t)], 1))) << t << " " << k;
    ++seen;
  };
  const at::Tensor end = chain_.sample(ids_of(2, kBatch, 1), {.held = &middle, .observer = look});
  EXPECT_EQ(seen, 3 * 5);
  EXPECT_TRUE(layer(end, 1).equal(layer(u0, 1)));
  EXPECT_FALSE(layer(end, 0).equal(layer(u0, 0)));
  EXPECT_FALSE(layer(end, 2).equal(layer(u0, 2)));
}

TEST_F(Reverse, FreeLayersSeeWhatIsHeld) {
  const at::Tensor u0 = some_u(), other = -some_u();
  const HeldLayers a = held({2}, u0), b = held({2}, other);
  const auto top = [&](const HeldLayers* h) {
    return vae::split_layers(chain_.sample(ids_of(2, kBatch, 1), {.held = h}), backbone_.groups())[0];
  };
  EXPECT_FALSE(top(&a).equal(top(&b))) << "the nets of the layers below the free one couple them";
}

TEST_F(Reverse, AllHeldIsTheSampleAndNoneHeldIsTheChain) {
  const at::Tensor u0 = some_u();
  const HeldLayers all = held({0, 1, 2}, u0), none = held({}, u0);
  EXPECT_TRUE(chain_.sample(ids_of(2, kBatch), {.held = &all}).equal(u0));
  EXPECT_TRUE(chain_.sample(ids_of(2, kBatch), {.held = &none}).equal(chain_.sample(ids_of(2, kBatch))));
}

TEST_F(Reverse, HeldValuesOfOtherShapeOrTooFewLevelsAreRefused) {
  HeldLayers few = held({0}, some_u());
  few.u_t.pop_back();
  EXPECT_THROW(chain_.sample(ids_of(2, kBatch), {.held = &few}), Error);
  const HeldLayers narrow = held({0}, some_u());
  EXPECT_THROW(chain_.sample(ids_of(2, kBatch - 1), {.held = &narrow}), Error);
}

TEST_F(Reverse, EnergyIsMinusTheSumOfTheNetsOverTheStepsVariance) {
  const at::Tensor u = some_u();
  const auto weights = prior_.frozen_weights();
  for (std::int64_t t = 0; t < 3; ++t) {
    const Potential potential(prior_, backbone_, weights, Chains(ids_of(0, kBatch), t, at::kCPU));
    at::Tensor sum = at::full({kBatch}, 0.0, at::kDouble);
    for (const at::Tensor& f : potential.by_layer(u)) sum = sum + f.to(at::kDouble);
    const at::Tensor expected = sum / -step_variance(prior_.schedule(), langevin(), t);
    const at::Tensor got = chain_.energy(u, t).to(at::kDouble);
    EXPECT_LT((got - expected).abs().max().item<double>(), 1e-5 * expected.abs().max().item<double>()) << t;
  }
}

TEST_F(Reverse, NaNAndInfAreNamedWithLevelLayerAndImage) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    const at::Tensor u = some_u();
    u.mutable_data_ptr<float>()[3 * backbone_.dim()] = bad;  // image 3, the top layer
    hebm::test::expect_error(ExitCode::kDiverged, {"t = 1", "layer 0 of image 3"}, [&] {
      chain_.run(u, {1, 1}, ids_of(2, kBatch));
    });
  }
  LangevinOptions wild = langevin();  // Euler-Maruyama far beyond its stable steps
  wild.integrator = Integrator::kPaper;
  wild.step = 1e6;
  wild.steps = 30;
  const ReverseChain chain(prior_, backbone_, wild);
  hebm::test::expect_error(ExitCode::kDiverged, {"t = 2", "of image 0"}, [&] { chain.sample(ids_of(2, kBatch)); });
  // Values whose float32 sum overflows, and which are finite.
  EXPECT_NO_THROW(chain_.run(at::full({kBatch, backbone_.dim()}, 1e37, at::kFloat), {0, 1}, ids_of(2, kBatch)));
}

TEST_F(Reverse, BetweenStepsIsCalledOftenAndMayEndTheChain) {
  std::int64_t calls = 0, last = 1000;
  LangevinOptions heard = langevin();
  heard.between_steps = [&] {
    if (++calls == last) fail(ExitCode::kRequeue, "asked to stop");
  };
  const ReverseChain chain(prior_, backbone_, heard);
  EXPECT_TRUE(chain.sample(ids_of(2, kBatch)).equal(chain_.sample(ids_of(2, kBatch))));
  EXPECT_GE(calls, 3 * 4);
  last = calls + 7;
  hebm::test::expect_error(ExitCode::kRequeue, {"asked to stop"}, [&] { chain.sample(ids_of(2, kBatch)); });
  EXPECT_EQ(calls, last);
}

// Levels are looked at once, when they end: one sum against K Langevin steps.
TEST_F(Reverse, TheLookForNaNCostsBelowHalfAPercent) {
  const ChainIds ids = ids_of(2, 100);
  LangevinOptions usual;
  const ReverseChain chain(prior_, backbone_, usual);
  const at::Tensor u = chain.sample(ids);
  double of_chain = 1e9, of_look = 1e9;
  for (int trial = 0; trial < 3; ++trial) {
    const Timer drawing;
    chain.sample(ids);
    of_chain = std::min(of_chain, drawing.seconds());
    const Timer looking;
    for (int t = 0; t < 3; ++t) EXPECT_TRUE(std::isfinite(u.sum(at::kDouble).item<double>()));
    of_look = std::min(of_look, looking.seconds());
  }
  fmt::print("the look for NaN takes {:.3f} % of a reverse chain\n", 100 * of_look / of_chain);
  EXPECT_LT(of_look, 0.005 * of_chain);
}

}  // namespace
}  // namespace hebm::prior
