#include "vae/kl_balance.h"
#include <gtest/gtest.h>
#include "../nets/support.h"

namespace hebm::vae {
namespace {

// Coarse to fine: 1 layer of 2x2, 2 of 4x4, 4 of 8x8: 4^s / layers = 1, 4/2, 16/4, the smallest is
// 1.
TEST(KlBalance, SharesByHand) {
  std::vector<LatentShape> groups = {{20, 2, 2}, {20, 4, 4}, {20, 4, 4}};
  for (int i = 0; i < 4; ++i) groups.push_back({20, 8, 8});
  EXPECT_EQ(kl_shares(groups), (std::vector<double>{1, 2, 2, 4, 4, 4, 4}));
  // 5 layers of 4x4, 10 of 8x8: 1/5 and 4/10, so 1 and 2.
  groups.assign(5, {20, 4, 4});
  groups.insert(groups.end(), 10, {20, 8, 8});
  const auto shares = kl_shares(groups);
  EXPECT_DOUBLE_EQ(shares[4], 1.0);
  EXPECT_DOUBLE_EQ(shares[5], 2.0);
  EXPECT_EQ(kl_shares({{8, 8, 8}, {8, 8, 8}}), (std::vector<double>{1, 1}));
}

// g ~ 2.01 / 1, 6.01 / 2, 1.01 / 4 with mean 1.
TEST(KlBalance, WeightsByHand) {
  const std::vector<double> kl = {2, 6, 1}, shares = {1, 2, 4};
  const auto g = kl_balance(kl, shares);
  const double sum = 2.01 + 3.005 + 0.2525;
  EXPECT_NEAR(g[0], 3 * 2.01 / sum, 1e-15);
  EXPECT_NEAR(g[1], 3 * 3.005 / sum, 1e-15);
  EXPECT_NEAR(g[2], 3 * 0.2525 / sum, 1e-15);
  test::expect_error(ExitCode::kRuntime, {"3 terms", "1 layers"}, [&] { kl_balance(kl, std::vector<double>{1.0}); });
}

TEST(KlBalance, AnnealedFromTheMinimumToOne) {
  EXPECT_EQ(kl_annealed(0, 1000, 0.1, 0.3, 1e-4), 1e-4);
  EXPECT_EQ(kl_annealed(100, 1000, 0.1, 0.3, 1e-4), 1e-4);
  EXPECT_DOUBLE_EQ(kl_annealed(250, 1000, 0.1, 0.3, 1e-4), 0.5);
  EXPECT_EQ(kl_annealed(400, 1000, 0.1, 0.3, 1e-4), 1.0);
  EXPECT_EQ(kl_annealed(900, 1000, 0.1, 0.3, 1e-4), 1.0);
  EXPECT_EQ(kl_annealed(0, 1000, 0.0, 0.0, 0.0), 1.0);
}

}  // namespace
}  // namespace hebm::vae
