// Composition: what images show after every step.
#include <gtest/gtest.h>
#include <filesystem>
#include "trained.h"

namespace hebm::evaluate {
namespace {

TEST(Compose, CountsWhatImagesShowAfterEveryStep) {
  const Trained trained(2, 1.0, heads());
  const auto compose = Trained::open(make_experiment<"compose">(),
      {"compose.num_samples=11", "compose.chunk=4", "compose.rows=3"}, trained.inputs(2, {1.0, 2}));
  EXPECT_EQ(compose->result_name(), "compose-x");
  const auto result = trained.result_of(*compose);
  ASSERT_EQ(result["steps"].size(), 2u);
  EXPECT_EQ(result["steps"][1]["held_layers"], (std::vector<int>{0}));
  for (const auto& step : result["steps"]) {
    ASSERT_EQ(step["labels"].size(), 3u);
    for (const auto& label : step["labels"]) {
      EXPECT_GE(label["accuracy"].get<double>(), 0.0);
      EXPECT_LE(label["accuracy"].get<double>(), 1.0);
      const bool asked = label["asked_in_step"] <= step["step"];
      EXPECT_EQ(label.contains("kept"), asked);
      if (label["asked_in_step"] == step["step"]) {
        EXPECT_EQ(label["unchanged"], 1.0);
      }
    }
  }
  EXPECT_EQ(result["grid"].size(), 3u);
  EXPECT_EQ(result["grid"][1], (nlohmann::json{{"labels", "b"}, {"brightness", "dark"}, {"width", "narrow"}}));
  EXPECT_TRUE(std::filesystem::exists(trained.folder / "compose-x.png"));
}

TEST(Compose, FingerprintNamesHeadsAndCategories) {
  const Trained trained(1, 1.0, heads());
  nlohmann::json fingerprint;
  Trained::open(make_experiment<"compose">(), {"steps=labels=c/width,brightness=dark"}, trained.inputs(1))
      ->add_fingerprint(fingerprint);
  EXPECT_EQ(fingerprint, nlohmann::json::parse(R"({"steps": [["labels=c"], ["width", "brightness=dark"]]})"));
}

}  // namespace
}  // namespace hebm::evaluate
