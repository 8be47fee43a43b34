// Hierarchical sampling: which layers are drawn anew, and what is measured of them.
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <filesystem>
#include "prior/reverse_chain.h"
#include "trained.h"

namespace hebm::evaluate {
namespace {

using Arguments = std::vector<std::string>;
using Sets = std::vector<std::vector<std::int64_t>>;

std::unique_ptr<Experiment> open_vary(const Trained& trained, Arguments arguments = {}) {
  return Trained::open(make_experiment<"vary">(), arguments, trained.inputs(3));
}

Sets sets_of(const Experiment& experiment) {
  nlohmann::json fingerprint;
  experiment.add_fingerprint(fingerprint);
  return fingerprint["layers"];
}

TEST(FreeLayers, AreEachAloneAndAllOrThoseAskedFor) {
  const Trained two(1), one(1, 1.0, {}, "2x4");
  EXPECT_EQ(sets_of(*open_vary(two)), (Sets{{0}, {1}, {0, 1}}));
  EXPECT_EQ(sets_of(*open_vary(one)), (Sets{{0}}));
  EXPECT_EQ(open_vary(two)->result_name(), "vary");
  EXPECT_EQ(sets_of(*open_vary(two, {"layers=1,0"})), (Sets{{0, 1}}));
  EXPECT_EQ(open_vary(two, {"layers=1,0"})->result_name(), "vary-all");
  const Trained three(1, 1.0, {}, "2x4,2x4,3x8");
  EXPECT_EQ(open_vary(three, {"layers=2,0"})->result_name(), "vary-0-2");
}

TEST(FreeLayers, OutsideTheVaeOrTwiceAreUsageErrorsThatSaySo) {
  const Trained trained(1);
  const auto refused = [&](const std::string& layers, const std::string& words) {
    test::expect_error(ExitCode::kUsage, {words}, [&] { open_vary(trained, {"layers=" + layers}); });
  };
  refused("0,2", "no layer 2; the VAE has layers 0 (top) to 1");
  refused("1,1", "twice");
  refused("-1", "");
}

TEST(Vary, SetsHaveDistancesSharesAndGrids) {
  const Trained trained(2);
  // Chunks across samples, the last one padded.
  const Arguments few = {"vary.num_samples=5", "vary.variations=3", "vary.rows=2", "vary.chunk=4"};
  const auto vary = open_vary(trained, few);
  const auto result = trained.result_of(*vary);
  ASSERT_EQ(result["sets"].size(), 3u);
  for (const auto& set : result["sets"]) {
    EXPECT_GT(set["feature_distance"].get<double>(), 0.0);
    EXPECT_GE(set["class_changed"].get<double>(), 0.0);
    EXPECT_LE(set["class_changed"].get<double>(), 1.0);
  }
  EXPECT_EQ(result["sets"][0]["free"], (std::vector<int>{0}));
  EXPECT_EQ(result["sets"][2]["name"], "all");
  for (const char* name : {"vary-0.png", "vary-1.png", "vary-all.png"})
    EXPECT_TRUE(std::filesystem::exists(trained.folder / name)) << name;
  // Units of work change nothing but rounding: the draws belong to (sample, variation).
  Arguments one_chunk = few;
  one_chunk.back() = "vary.chunk=15";
  const auto other = trained.result_of(*open_vary(trained, one_chunk));
  for (std::size_t s = 0; s < 3; ++s)
    EXPECT_NEAR(
        other["sets"][s]["feature_distance"].get<double>(), result["sets"][s]["feature_distance"].get<double>(), 1e-4);
  EXPECT_EQ(vary->table({{"sets", {{{"name", "0-2"}, {"feature_distance", 0.25}, {"class_changed", 0.5}}}}}),
      " free layers   feature distance  class changed\n"
      "         0-2              0.250          0.500\n");
}

// One sample and one variation, drawn here too: the layers that are not named are held.
TEST(Vary, MeasuresWhatTheOtherLayersHeldGives) {
  const Trained trained(2);
  const auto inputs = trained.inputs(3);
  const prior::ReverseChain chain(trained.prior, trained.backbone, inputs.langevin);
  prior::ChainIds ids = prior::chain_ids(1, 0, 1);
  const at::Tensor u0 = chain.sample(ids);
  ids.visit = {1};
  const auto result =
      trained.result_of(*open_vary(trained, {"vary.num_samples=1", "vary.variations=1", "vary.chunk=1"}));
  const Sets kept = {{1}, {0}, {}};
  for (std::size_t s = 0; s < kept.size(); ++s) {
    const auto held = chain.held(kept[s], u0, ids);
    const Seen varied = see(inputs, chain.sample(ids, {.held = &held})), before = see(inputs, u0);
    EXPECT_NEAR(result["sets"][s]["feature_distance"].get<double>(),
        (varied.features - before.features).square().sum().sqrt().item<double>(), 1e-6)
        << s;
  }
}

}  // namespace
}  // namespace hebm::evaluate
