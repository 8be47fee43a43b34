#include "evaluate/transition.h"
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <cmath>
#include "trained.h"

namespace hebm::evaluate {
namespace {

TEST(RecordedSteps, AreEverySthAndTheLast) {
  EXPECT_EQ(recorded_steps(30, 10), (std::vector<std::int64_t>{0, 10, 20, 30}));
  EXPECT_EQ(recorded_steps(31, 10), (std::vector<std::int64_t>{0, 10, 20, 30, 31}));
  EXPECT_EQ(recorded_steps(300, 0).size(), 11u);  // every 30th: Fig. 6
  EXPECT_EQ(recorded_steps(300, 0)[1], 30);
  EXPECT_EQ(recorded_steps(3, 0), (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(recorded_steps(2, 50), (std::vector<std::int64_t>{0, 2}));
}

// Thresholds are between bytes: 1 and 254 count, 2 and 253 do not.
TEST(SaturatedShares, CountBytesAtBothEnds) {
  std::vector<float> values;
  for (const int byte : {0, 1, 2, 3, 128, 253, 254, 255, 255, 255}) values.push_back(static_cast<float>(byte) / 255.0f);
  const at::Tensor shares = saturated_shares(at::tensor(values).view({1, 1, 2, 5}));
  EXPECT_FLOAT_EQ(shares[0][0].item<float>(), 0.2f);
  EXPECT_FLOAT_EQ(shares[0][1].item<float>(), 0.4f);
  EXPECT_FLOAT_EQ(saturated_shares(at::full({2, 3, 4, 4}, 0.5, at::kFloat)).abs().max().item<float>(), 0.0f);
}

double number(const nlohmann::json& state, const char* key) { return state.at(key).get<double>(); }

// f = 0 and T = 1: from u_T ~ N(0, I) the exact chain is stationary, cov(y_0, y_k) = rho^k, so y_k
// - y_0 ~ N(0, 2 (1 - rho^k) I_D), whose mean norm is sqrt(2 (1 - rho^k)) sqrt(2) Gamma((D + 1) /
// 2) / Gamma(D / 2); the variance of a norm is below that of one element.
TEST(Transition, DisplacementWithoutEnergyHasItsClosedForm) {
  const Trained trained(1, 0.0);
  const ExperimentInputs inputs = trained.inputs(10);
  const auto result = trained.result_of(*Trained::open(make_experiment<"transition">(),
      {"transition.num_images=50", "transition.chunk=20", "transition.every=4"}, inputs));
  ASSERT_EQ(result["levels"].size(), 1u);
  const auto& states = result["levels"][0]["states"];
  ASSERT_EQ(states.size(), 4u);
  const auto dim = static_cast<double>(trained.backbone.dim());
  const double unit = std::sqrt(2.0) * std::exp(std::lgamma((dim + 1) / 2) - std::lgamma(dim / 2));
  const double rho = prior::step_coefficients(trained.prior.schedule(), inputs.langevin)[0].y;
  EXPECT_EQ(number(states[0], "displacement"), 0.0);
  for (std::size_t s = 1; s < states.size(); ++s) {
    const double scale = std::sqrt(2 * (1 - std::pow(rho, number(states[s], "k"))));
    EXPECT_NEAR(number(states[s], "displacement"), scale * unit, 5 * scale / std::sqrt(50.0)) << s;
  }
  for (const auto& state : states) EXPECT_EQ(number(state, "energy"), 0.0);
}

TEST(Transition, ALevelStartsWhereTheOneAboveEndedAsInThePaper) {
  const Trained trained(2);
  ExperimentInputs inputs = trained.inputs(2);
  inputs.langevin.start = prior::ChainStart::kNext;
  const auto transition = Trained::open(make_experiment<"transition">(),
      {"steps=6", "transition.num_images=30", "transition.chunk=16", "transition.rows=3"}, inputs);
  EXPECT_EQ(transition->result_name(), "transition-6") << "--steps in place of the prior's own K";
  const auto result = trained.result_of(*transition);
  ASSERT_EQ(result["levels"].size(), 2u);
  EXPECT_EQ(result["levels"][0]["t"], 1);
  const auto &above = result["levels"][0]["states"].back(), &below = result["levels"][1]["states"].front();
  EXPECT_EQ(above["k"], 6);
  for (const char* key : {"fd_fmnist", "black", "white"}) EXPECT_EQ(above[key], below[key]) << key;
  EXPECT_NE(above["energy"], below["energy"]) << "each level has its own nets and step";
  EXPECT_GT(number(above, "displacement"), 0.0);
  EXPECT_EQ(number(below, "displacement"), 0.0);
  // 39 training images of uniform bytes: 2 of 256 values at either end.
  const double pixels = 39.0 * 32 * 32, share = 2.0 / 256;
  EXPECT_NEAR(number(result["training"], "black"), share, 5 * std::sqrt(share / pixels));
  EXPECT_NEAR(number(result["training"], "white"), share, 5 * std::sqrt(share / pixels));
  for (const char* name : {"transition-6-t1.png", "transition-6-t0.png"})
    EXPECT_TRUE(std::filesystem::exists(trained.folder / name)) << name;
}

}  // namespace
}  // namespace hebm::evaluate
