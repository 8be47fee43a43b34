// What a prior with labels knows and draws.
#include <gtest/gtest.h>
#include <cmath>
#include <filesystem>
#include <utility>
#include "trained.h"

namespace hebm::evaluate {
namespace {

TEST(Labels, MeasuresAccuracyImagesAndBalance) {
  const Trained trained(2, 1.0, heads());
  const auto open = [&](const std::string& num_test) {
    return Trained::open(make_experiment<"labels">(),
        {"labels.num_test=" + num_test, "labels.num_samples=10", "labels.chunk=4", "labels.columns=2"},
        trained.inputs(2));
  };
  const auto result = trained.result_of(*open("4"));
  ASSERT_EQ(result["heads"].size(), 3u);
  for (const auto& head : result["heads"]) {
    double shares = 0, images = 0;
    for (const auto& row : head["by_category"]) {
      shares += row["share_without_label"].get<double>();
      for (const auto& n : row["read_as"]) images += n.get<double>();
    }
    EXPECT_NEAR(shares, 1.0, 1e-12);
    EXPECT_EQ(images, 10);
    EXPECT_TRUE(std::filesystem::exists(trained.folder / ("labels-x-" + head["name"].get<std::string>() + ".png")));
  }
  // Fresh heads: every category is equally likely, the first is said, and all labels draw the image
  // that none draws.
  EXPECT_NEAR(result["heads"][0]["test"]["cross_entropy"].get<double>(), std::log(4.0), 1e-6);
  EXPECT_NEAR(result["heads"][0]["drawn"]["fd_fmnist_ratio"].get<double>(), 1.0, 1e-4);
  EXPECT_EQ(result["heads"][1]["test"]["reader_accuracy"], 1.0) << "measured attributes are their own reader";
  test::expect_error(ExitCode::kUsage, {"4 test images"}, [&] { trained.result_of(*open("5")); });
}

TEST(Labels, HeadsOfAnotherDataSetAreRefusedByName) {
  const auto refused = [](prior::LabelHeads wrong, const std::string& words) {
    const Trained trained(2, 1.0, std::move(wrong));
    const auto labels = Trained::open(make_experiment<"labels">(), {"labels.num_test=1"}, trained.inputs(1));
    test::expect_error(ExitCode::kUsage, {words}, [&] { trained.result_of(*labels); });
  };
  refused({{"colour", {"red"}, {0}}}, "no labels called 'colour'; it has labels, brightness, width");
  refused({{"labels", {"x", "y"}, {0}}}, "x, y");
}

}  // namespace
}  // namespace hebm::evaluate
