#include "evaluate/vary.h"
#include <gtest/gtest.h>
#include <cmath>
#include "base/error.h"
#include "comm/single_communicator.h"
#include "trained.h"

namespace hebm::evaluate {
namespace {

TEST(FreeLayerSets, AreEachAloneAndAll) {
  EXPECT_EQ(default_free_layers(3), (std::vector<FreeLayers>{{0}, {1}, {2}, {0, 1, 2}}));
  EXPECT_EQ(default_free_layers(1), (std::vector<FreeLayers>{{0}}));
  EXPECT_EQ(layers_name({0, 2}, 3), "0-2");
  EXPECT_EQ(layers_name({0, 1, 2}, 3), "all");
}

TEST(FreeLayerSets, OutsideTheVaeOrTwiceAreUsageErrorsThatSaySo) {
  const auto message = [](const FreeLayers& free) -> std::string {
    try {
      prior::check_layers(free, 3);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message({2, 0}), "");
  EXPECT_NE(message({0, 3}).find("no layer 3; the VAE has layers 0 (top) to 2"), std::string::npos);
  EXPECT_NE(message({1, 1}).find("twice"), std::string::npos);
  EXPECT_NE(message({}), "");
  EXPECT_NE(message({-1}), "");
}

// f = 0 and T = 1: the free layer's law given anything is N(0, I), and the exact chain leaves it so
// from the start; what is held stays, bit by bit.
TEST(VaryLayers, WithoutEnergyFreeLayersAreStandardNormalAndHeldOnesStay) {
  const Trained trained(1, 0.0);
  prior::LangevinOptions langevin;
  langevin.steps = 5;
  const prior::ReverseChain chain(trained.prior, trained.backbone, langevin);
  constexpr std::int64_t kCount = 300;
  prior::ChainIds ids = prior::chain_ids(3, 0, kCount);
  const at::Tensor u0 = chain.sample(ids);
  ids.visit.assign(kCount, 1);
  const auto groups = trained.backbone.groups();
  const at::Tensor varied = vary_layers(chain, trained.prior.schedule(), u0, {0}, 2, ids);
  const std::int64_t top = groups[0].size(), rest = groups[1].size();
  EXPECT_TRUE(varied.narrow(1, top, rest).equal(u0.narrow(1, top, rest)));
  const at::Tensor free = varied.narrow(1, 0, top).to(at::kDouble), before = u0.narrow(1, 0, top).to(at::kDouble);
  const auto n = static_cast<double>(free.numel());
  EXPECT_NEAR(free.mean().item<double>(), 0.0, 5 / std::sqrt(n));
  EXPECT_NEAR(free.var().item<double>(), 1.0, 5 * std::sqrt(2 / n));
  EXPECT_NEAR((free * before).mean().item<double>(), 0.0, 5 / std::sqrt(n)) << "drawn anew, not moved";
}

TEST(Vary, SetsHaveDistancesSharesAndGrids) {
  const Trained trained(2);
  VaryOptions options;
  options.num_samples = 5;
  options.variations = 3;
  options.chunk = 4;  // chunks across samples, the last one padded
  options.rows = 2;
  comm::SingleCommunicator comm;
  Logger logger(false);
  const auto result =
      results::to_json(vary(options, {{0}, {0, 1}}, trained.inputs(3), comm, logger, trained.folder.path()));
  ASSERT_EQ(result["sets"].size(), 2u);
  for (const auto& set : result["sets"]) {
    EXPECT_GT(set["feature_distance"].get<double>(), 0.0);
    EXPECT_GE(set["class_changed"].get<double>(), 0.0);
    EXPECT_LE(set["class_changed"].get<double>(), 1.0);
  }
  EXPECT_EQ(result["sets"][0]["free"], (std::vector<int>{0}));
  EXPECT_EQ(result["sets"][1]["name"], "all");
  for (const char* name : {"vary-0.png", "vary-all.png"})
    EXPECT_TRUE(std::filesystem::exists(trained.folder / name)) << name;
  // Units of work change nothing but rounding: the draws belong to (sample, variation).
  options.chunk = 15;
  const auto other = results::to_json(vary(options, {{0}}, trained.inputs(3), comm, logger, trained.folder.path()));
  EXPECT_NEAR(
      other["sets"][0]["feature_distance"].get<double>(), result["sets"][0]["feature_distance"].get<double>(), 1e-4);
}

}  // namespace
}  // namespace hebm::evaluate
