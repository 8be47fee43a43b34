// The chains of a micro-batch: rows made once from ids and levels, and noise that depends on them
// alone.
#include "prior/chains.h"
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <array>
#include <cmath>
#include <limits>
#include "../nets/support.h"
#include "base/error.h"

namespace hebm::prior {
namespace {

TEST(Chains, RowsHoldIdsAndLevels) {
  const Chains chains({{7, 8}, {3, 0}, 5, 1}, std::vector<std::int64_t>{2, 0}, at::kCPU);
  EXPECT_EQ(chains.count(), 2);
  EXPECT_EQ(chains.levels(), (std::vector<std::int64_t>{2, 0}));
  EXPECT_EQ(chains.rows()[0].item, 7u);
  EXPECT_EQ(chains.rows()[0].visit, 3u);
  EXPECT_EQ(chains.rows()[0].t, 2u);
  EXPECT_EQ(chains.rows()[1].item, 8u);
  EXPECT_EQ(chains.t().scalar_type(), at::kLong);
  EXPECT_EQ(chains.t()[0].item<std::int64_t>(), 2);
  EXPECT_EQ(chains.t()[1].item<std::int64_t>(), 0);
}

TEST(Chains, NumbersFromATableFollowTheRowsLevel) {
  const Chains chains(chain_ids(1, 0, 3), std::vector<std::int64_t>{1, 0, 1}, at::kCPU);
  const std::vector<double> table = {0.5, 0.25, 0.125};
  const auto columns = chains.by_level({{table}, {table, 1}});
  ASSERT_EQ(columns.size(), 2u);
  EXPECT_EQ(columns[0].sizes().vec(), (std::vector<std::int64_t>{3, 1}));
  for (std::int64_t b = 0; b < 3; ++b) {
    EXPECT_EQ(columns[0][b].item<float>(), b == 1 ? 0.5F : 0.25F) << b;
    EXPECT_EQ(columns[1][b].item<float>(), b == 1 ? 0.25F : 0.125F) << b << ", of the level above";
  }
  EXPECT_THROW(chains.by_level({{table, 2}}), std::out_of_range);
}

TEST(Chains, NoiseKnowsEveryPartOfTheirIdentity) {
  const auto noise = [](const ChainIds& ids, std::int64_t t, Purpose purpose = Purpose::kTest) {
    return Chains(ids, t, at::kCPU).normals(purpose, 6);
  };
  const at::Tensor one = noise({{4}, {2}, 9, 1}, 3);
  std::vector<float> expected(6);
  fill_normal(expected, {9, 1, Purpose::kTest}, {.item = 4, .visit = 2, .t = 3});
  for (std::int64_t e = 0; e < 6; ++e) EXPECT_EQ(one[0][e].item<float>(), expected[static_cast<std::size_t>(e)]);
  EXPECT_FALSE(noise({{5}, {2}, 9, 1}, 3).equal(one)) << "item";
  EXPECT_FALSE(noise({{4}, {1}, 9, 1}, 3).equal(one)) << "visit";
  EXPECT_FALSE(noise({{4}, {2}, 8, 1}, 3).equal(one)) << "seed";
  EXPECT_FALSE(noise({{4}, {2}, 9, 0}, 3).equal(one)) << "attempt";
  EXPECT_FALSE(noise({{4}, {2}, 9, 1}, 2).equal(one)) << "level";
  EXPECT_FALSE(noise({{4}, {2}, 9, 1}, 3, Purpose::kPriorNoise).equal(one)) << "purpose";
  EXPECT_TRUE(prior_noise({{4}, {2}, 9, 1}, 6, at::kCPU).equal(noise({{4}, {2}, 9, 1}, 0, Purpose::kPriorNoise)));
}

TEST(Chains, LevelsBeyondTheirKeyAreRefused) { EXPECT_THROW(Chains(chain_ids(1, 0, 1), 1024, at::kCPU), Error); }

// Importance resampling against the softmax that it draws from.
TEST(Proposals, AreChosenByTheirSoftmax) {
  const std::vector<double> logits = {0.0, std::log(3.0), -700.0, std::log(4.0)};
  constexpr std::size_t kCount = 800;
  std::vector<double> uniform;
  for (std::size_t b = 0; b < kCount; ++b) uniform.push_back((static_cast<double>(b) + 0.5) / kCount);
  const at::Tensor columns = test::numbers(logits).unsqueeze(1).expand({4, static_cast<std::int64_t>(kCount)}) +
                             1e4;  // a common factor changes nothing
  std::array<int, 4> times{};
  for (const auto m : choose_proposals(columns, uniform)) ++times.at(static_cast<std::size_t>(m));
  EXPECT_EQ(times, (std::array<int, 4>{100, 300, 0, 400}));
  EXPECT_EQ(choose_proposals(columns.narrow(1, 0, 1), {std::nextafter(1.0, 0.0)})[0], 3);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    test::expect_error(ExitCode::kDiverged, {"proposal 1 of row 0"}, [&] {
      choose_proposals(test::numbers({0.0, bad}).unsqueeze(1), {0.5});
    });
  }
  test::expect_error(ExitCode::kRuntime, {"2 random numbers"}, [&] {
    choose_proposals(columns.narrow(1, 0, 1), {0.1, 0.2});
  });
}

}  // namespace
}  // namespace hebm::prior
