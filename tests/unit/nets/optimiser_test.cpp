#include "nets/optimiser.h"
#include <ATen/TensorOperators.h>
#include <cmath>
#include "../nets/support.h"

namespace hebm::nets {
namespace {

using test::values_of;

// One parameter, 1.0, with gradients 0.5 and -0.25 and a rate of 0.1: worked out by hand from
// Kingma & Ba 2015.
struct One {
  Parameters params{1, 0, at::kDouble};
  One() {
    params.add("w", {1}, Init::kOne);
    params.flatten();
  }
  double after(Optimiser& optimiser, double gradient) {
    params.grad().fill_(gradient);
    optimiser.step(0.1);
    return params.flat().item<double>();
  }
};

TEST(Optimiser, AdamByHand) {
  One one;
  Optimiser adam(one.params, {.rule = Rule::kAdam});
  // m = 0.05, v = 0.00025: corrected 0.5 and 0.25
  EXPECT_NEAR(one.after(adam, 0.5), 1.0 - 0.1 * 0.5 / (0.5 + 1e-8), 1e-14);
  // m = 0.02, v = 0.00031225: corrected 0.02 / 0.19 and 0.00031225 / 0.001999
  const double second = 0.1 * (0.02 / 0.19) / (std::sqrt(0.00031225 / 0.001999) + 1e-8);
  EXPECT_NEAR(one.after(adam, -0.25), 0.9 + 0.1 * (1.0 - 0.5 / (0.5 + 1e-8)) - second, 1e-13);
}

TEST(Optimiser, AdamaxByHand) {
  One one;
  Optimiser adamax(one.params, {.rule = Rule::kAdamax});
  const double first = 1.0 - (0.1 / 0.1) * 0.05 / (0.5 + 1e-8);
  EXPECT_NEAR(one.after(adamax, 0.5), first, 1e-14);
  // m = 0.02, u = max(0.999 * 0.5, 0.25) = 0.4995
  EXPECT_NEAR(one.after(adamax, -0.25), first - (0.1 / 0.19) * 0.02 / (0.999 * (0.5 + 1e-8)), 1e-13);
}

TEST(Optimiser, WeightDecayIsAddedToTheGradient) {
  One plain, decayed;
  Optimiser a(plain.params, {.rule = Rule::kAdam}), b(decayed.params, {.rule = Rule::kAdam, .weight_decay = 0.25});
  for (const double gradient : {0.5, -0.3}) {
    const double w = decayed.params.flat().item<double>();
    EXPECT_NEAR(plain.after(a, gradient + 0.25 * w), decayed.after(b, gradient), 1e-14);
  }
}

TEST(Optimiser, RestoredStateContinuesBitByBit) {
  for (const Rule rule : {Rule::kAdam, Rule::kAdamax}) {
    One whole, first, second;
    Optimiser a(whole.params, {.rule = rule}), b(first.params, {.rule = rule}), c(second.params, {.rule = rule});
    for (const double gradient : {0.5, -0.25, 0.125}) whole.after(a, gradient);
    first.after(b, 0.5);
    for (std::size_t i = 0; i < b.state("x.").size(); ++i) {
      EXPECT_EQ(b.state("x.")[i].name, c.state("x.")[i].name);
      at::Tensor live = c.state("x.")[i].tensor;
      live.copy_(b.state("x.")[i].tensor);
    }
    second.params.flat().copy_(first.params.flat());
    for (const double gradient : {-0.25, 0.125}) second.after(c, gradient);
    EXPECT_EQ(whole.params.flat().item<double>(), second.params.flat().item<double>());
  }
}

TEST(Ema, WarmsUpAsTheMinimumOfTheDecayAndTheCount) {
  One one;
  Ema ema(one.params, 0.15);
  EXPECT_EQ(ema.flat().item<double>(), 1.0);
  one.params.flat().fill_(2.0);
  ema.update(0);  // decay 1/10
  EXPECT_NEAR(ema.flat().item<double>(), 0.1 * 1.0 + 0.9 * 2.0, 1e-15);
  one.params.flat().fill_(4.0);
  ema.update(1);  // 2/11 is more than 0.15
  EXPECT_NEAR(ema.flat().item<double>(), 0.15 * 1.9 + 0.85 * 4.0, 1e-15);
  Ema slow(one.params, 0.999);
  one.params.flat().fill_(1.0);
  slow.update(80);  // 81/90
  EXPECT_NEAR(slow.flat().item<double>(), 0.9 * 4.0 + 0.1 * 1.0, 1e-15);
}

TEST(Ema, WithEmaPutsTheTrainedWeightsBack) {
  One one;
  const Ema ema(one.params, 0.9);
  one.params.flat().fill_(3.0);
  {
    const WithEma averaged(one.params, ema);
    EXPECT_EQ(one.params.flat().item<double>(), 1.0);
    EXPECT_EQ(one.params.parameters()[0].tensor.item<double>(), 1.0);
  }
  EXPECT_EQ(one.params.flat().item<double>(), 3.0);
}

TEST(ScheduledRate, EndpointsAndMiddle) {
  const auto rate = [](const char* schedule, std::int64_t update) {
    return scheduled_rate(
        {.base = 2.0, .kind = *value_named<RateKind>(schedule), .final_fraction = 0.1, .warmup = 10, .total = 110},
        update);
  };
  for (const char* schedule : {"constant", "linear", "cosine"}) {
    EXPECT_DOUBLE_EQ(rate(schedule, 0), 0.2);
    EXPECT_DOUBLE_EQ(rate(schedule, 9), 2.0);
    EXPECT_DOUBLE_EQ(rate(schedule, 10), 2.0);
  }
  EXPECT_DOUBLE_EQ(rate("constant", 110), 2.0);
  EXPECT_DOUBLE_EQ(rate("linear", 60), 1.1);
  EXPECT_DOUBLE_EQ(rate("cosine", 60), 1.1);
  EXPECT_DOUBLE_EQ(rate("cosine", 35), 2.0 * (0.1 + 0.9 * 0.5 * (1.0 + std::sqrt(0.5))));
  for (const std::int64_t end : {110, 500}) {
    EXPECT_DOUBLE_EQ(rate("linear", end), 0.2);
    EXPECT_DOUBLE_EQ(rate("cosine", end), 0.2);
  }
}

TEST(ScheduledRate, StepsFallAtTheEndOfEachEpoch) {
  const RateSchedule steps{.base = 4e-5, .kind = RateKind::kSteps, .total = 300, .decay = 0.5, .decay_every = 100};
  for (const auto& [update, epochs] : {std::pair{0, 0}, {99, 0}, {100, 1}, {299, 2}, {1000, 10}}) {
    EXPECT_DOUBLE_EQ(scheduled_rate(steps, update), 4e-5 * std::pow(0.5, epochs)) << update;
  }
}

}  // namespace
}  // namespace hebm::nets
