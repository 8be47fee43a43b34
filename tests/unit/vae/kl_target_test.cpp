#include "vae/kl_target.h"
#include <gtest/gtest.h>
#include <cmath>
#include "../support.h"

namespace hebm::vae {
namespace {

// Layers whose KL answers at once, KL_i = c_i / beta_i: the fixed point is beta_i = c_i / target_i.
std::vector<double> answers(const std::vector<double>& c, const std::vector<double>& beta) {
  std::vector<double> out;
  for (std::size_t i = 0; i < c.size(); ++i) out.push_back(c[i] / beta[i]);
  return out;
}

TEST(KlTargets, ReachTheirTargetsOnAToy) {
  const std::vector<double> targets = {20, 30, 60}, c = {3.6, 30, 240};
  KlTargets held(targets, 0.3);
  constexpr std::int64_t kTotal = 2000;
  for (std::int64_t n = 0; n < kTotal; ++n) held.observe(answers(c, held.weights()), n, kTotal);
  for (std::size_t i = 0; i < c.size(); ++i) {
    EXPECT_NEAR(held.weights()[i], c[i] / targets[i], 1e-6 * c[i] / targets[i]) << i;
    EXPECT_NEAR(answers(c, held.weights())[i], targets[i], 1e-5 * targets[i]) << i;
  }
}

TEST(KlTargets, AStepByHand) {
  KlTargets held({10}, 0.0);
  held.observe({15}, 0, 100);  // average 15: off by 0.5
  EXPECT_NEAR(held.weights()[0], 0.3 * std::exp(0.02 * 0.5), 1e-15);
  held.observe({45}, 1, 100);  // average 18: off by 0.8
  EXPECT_NEAR(held.weights()[0], 0.3 * std::exp(0.02 * 1.3), 1e-15);
  held.observe({1000}, 2, 100);  // by more than 1 counts as 1
  EXPECT_NEAR(held.weights()[0], 0.3 * std::exp(0.02 * 2.3), 1e-15);
}

TEST(KlTargets, WeightsHaveBounds) {
  KlTargets held({10, 10}, 0.0);
  for (std::int64_t n = 0; n < 500; ++n) held.observe({1e6, 0}, n, 500);
  EXPECT_EQ(held.weights(), (std::vector<double>{10.0, 0.01}));
}

// Of three layers and a ramp of 0.3: whole after 0.02, 0.15 and 0.3; begun at 0, 0.025 and 0.05.
TEST(KlTargets, GrowFromTheTopDown) {
  const KlTargets held({20, 30, 60}, 0.3);
  EXPECT_NEAR(held.target(0, 10, 1000), 10.0, 1e-12);
  EXPECT_EQ(held.target(0, 20, 1000), 20.0);
  EXPECT_EQ(held.target(1, 25, 1000), 0.5) << "half a nat at least";
  EXPECT_NEAR(held.target(1, 25 + 25, 1000), 30.0 * 0.025 / 0.125, 1e-12);
  EXPECT_EQ(held.target(1, 150, 1000), 30.0);
  EXPECT_NEAR(held.target(2, 175, 1000), 30.0, 1e-12);
  EXPECT_EQ(held.target(2, 300, 1000), 60.0);
  EXPECT_EQ(KlTargets({0.2}, 0.3).target(0, 0, 1000), 0.2);
}

TEST(KlTargets, AreRestoredToTheBit) {
  KlTargets a({20, 30}, 0.3), b({20, 30}, 0.3);
  for (std::int64_t n = 0; n < 7; ++n) a.observe({3.0 + 0.1 * static_cast<double>(n), 50.7}, n, 30);
  b.observe({1, 1}, 0, 30);
  b.restore(nlohmann::json::parse(a.state().dump()));
  for (std::int64_t n = 7; n < 20; ++n) {
    a.observe({11.1, 22.2}, n, 30);
    b.observe({11.1, 22.2}, n, 30);
    ASSERT_EQ(a.weights(), b.weights()) << n;
  }
  b.restore(nlohmann::json::object());
  EXPECT_EQ(b.weights(), (std::vector<double>{0.3, 0.3}));
}

TEST(KlTargets, RefuseOthers) {
  test::expect_error(ExitCode::kUsage, {"above 0", "got 0"}, [] { KlTargets({1, 0}, 0.1); });
  KlTargets held({1, 2}, 0.1);
  for (const char* text :
      {R"({"beta": [1]})", R"({"beta": [1, 2], "average": [1]})", R"({"beta": [1, "x"], "average": []})", "[3]"})
    test::expect_error(ExitCode::kCorrupt, {"2 layers"}, [&] { held.restore(nlohmann::json::parse(text)); });
}

}  // namespace
}  // namespace hebm::vae
