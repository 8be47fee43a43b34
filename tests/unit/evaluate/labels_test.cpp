// Composition: the order of its steps, what they hold, and what chains are asked for.
#include "evaluate/labels.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <functional>
#include "base/error.h"
#include "comm/single_communicator.h"
#include "trained.h"

namespace hebm::evaluate {
namespace {

prior::LabelHeads heads() {
  return {{"labels", {"a", "b", "c", "d"}, {0}}, {"brightness", {"dark", "bright"}, {1}},
      {"width", {"narrow", "wide"}, {1}}};
}

std::string message(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage) << e.what();
    return e.what();
  }
  return "";
}

TEST(ComposeSteps, AreReadInOrderAndByDefaultGoFromTheTopDown) {
  const auto shape = [](const ComposeSteps& steps) {
    std::vector<std::vector<std::pair<std::size_t, std::int64_t>>> out;
    for (const auto& step : steps) {
      out.emplace_back();
      for (const auto& a : step) out.back().emplace_back(a.head, a.category);
    }
    return out;
  };
  using Shape = std::vector<std::vector<std::pair<std::size_t, std::int64_t>>>;
  EXPECT_EQ(shape(parse_steps("", heads())), (Shape{{{0, -1}}, {{1, -1}, {2, -1}}}));
  EXPECT_EQ(shape(parse_steps("labels=c/width=wide,brightness", heads())), (Shape{{{0, 2}}, {{2, 1}, {1, -1}}}));
  EXPECT_EQ(shape(parse_steps("brightness/labels", heads())), (Shape{{{1, -1}}, {{0, -1}}}));
  auto reversed = heads();
  std::swap(reversed[0], reversed[2]);
  EXPECT_EQ(shape(parse_steps("", reversed)), (Shape{{{2, -1}}, {{0, -1}, {1, -1}}}))
      << "top first, whatever the order of the heads";
}

TEST(ComposeSteps, ByDefaultNoLabelComesTooLate) {
  const prior::LabelHeads overlapping = {
      {"a", {"x", "y"}, {2}}, {"b", {"x", "y"}, {1}}, {"c", {"x", "y"}, {0, 2}}, {"d", {"x", "y"}, {1, 2}}};
  const auto steps = parse_steps("", overlapping);  // c, then a with it; b, then d with it
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0][0].head, 2u);
  EXPECT_EQ(steps[0][1].head, 0u);
  EXPECT_EQ(steps[1][0].head, 1u);
  EXPECT_EQ(steps[1][1].head, 3u);
}

TEST(ComposeSteps, HoldTheLayersOfAllStepsBefore) {
  const auto steps = parse_steps("", heads());
  EXPECT_EQ(held_layers(steps, 0, heads()), (std::vector<std::int64_t>{}));
  EXPECT_EQ(held_layers(steps, 1, heads()), (std::vector<std::int64_t>{0}));
  EXPECT_EQ(held_layers(steps, 2, heads()), (std::vector<std::int64_t>{0, 1}));
}

TEST(ComposeSteps, ChainsGoThroughAllCombinations) {
  const auto steps = parse_steps("labels/width,brightness=bright", heads());
  std::vector<int> seen(8, 0);
  for (std::int64_t c = 0; c < 16; ++c) {
    const auto asked = asked_of_chain(steps, heads(), c);
    EXPECT_EQ(asked[1], 1);
    ++seen[static_cast<std::size_t>(asked[0] * 2 + asked[2])];
  }
  EXPECT_EQ(seen, std::vector<int>(8, 2));
  EXPECT_EQ(asked_of_chain(parse_steps("labels", heads()), heads(), 5), (std::vector<std::int64_t>{1, -1, -1}));
}

TEST(ComposeSteps, WhatIsWrongIsNamed) {
  EXPECT_NE(message([] { parse_steps("colour", heads()); }).find("labels, brightness, width"), std::string::npos);
  EXPECT_NE(message([] { parse_steps("labels=e", heads()); }).find("a, b, c, d"), std::string::npos);
  EXPECT_NE(message([] { parse_steps("labels/labels", heads()); }).find("twice"), std::string::npos);
  EXPECT_NE(
      message([] { parse_steps("labels/brightness/width", heads()); }).find("step 3 holds all"), std::string::npos);
  EXPECT_NE(message([] { parse_steps("labels//width", heads()); }), "");
}

TEST(ComposeChains, LaterStepsLeaveHeldLayersBitByBit) {
  const Trained trained(2, 1.0, heads());
  prior::LangevinOptions langevin;
  langevin.steps = 3;
  const prior::ReverseChain chain(trained.prior, trained.backbone, langevin);
  const auto steps = parse_steps("", heads());
  const std::vector<std::int64_t> asked = {0, 1, 0, 3, 0, 1};
  const auto states = compose_chains(
      chain, trained.prior, steps, at::tensor(asked, at::kLong).view({2, 3}), {1.0, 2}, prior::chain_ids(4, 7, 2));
  ASSERT_EQ(states.size(), 2u);
  const std::int64_t top = trained.backbone.groups()[0].size(), rest = trained.backbone.groups()[1].size();
  EXPECT_TRUE(states[1].narrow(1, 0, top).equal(states[0].narrow(1, 0, top)));
  EXPECT_GT((states[1].narrow(1, top, rest) - states[0].narrow(1, top, rest)).abs().min().item<double>(), 0.0)
      << "drawn anew";
}

TEST(Compose, CountsWhatImagesShowAfterEveryStep) {
  const Trained trained(2, 1.0, heads());
  ComposeOptions options;
  options.num_samples = 11;
  options.chunk = 4;
  options.rows = 3;
  comm::SingleCommunicator comm;
  Logger logger(false);
  const auto result = results::to_json(compose(
      options, parse_steps("", heads()), {1.0, 2}, trained.inputs(2), comm, logger, trained.folder / "compose-x.png"));
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

TEST(Labels, MeasuresAccuracyImagesAndBalance) {
  const Trained trained(2, 1.0, heads());
  LabelsOptions options;
  options.num_test = 4;
  options.num_samples = 10;
  options.chunk = 4;
  options.columns = 2;
  comm::SingleCommunicator comm;
  Logger logger(false);
  const auto result =
      results::to_json(labels(options, {1.0, 1}, trained.inputs(2), comm, logger, trained.folder.path(), "x"));
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
  options.num_test = 5;
  EXPECT_NE(message([&] {
    labels(options, {1.0, 2}, trained.inputs(2), comm, logger, trained.folder.path(), "x");
  }).find("4 test images"),
      std::string::npos);
}

TEST(Labels, HeadsOfAnotherDataSetAreRefusedByName) {
  comm::SingleCommunicator comm;
  Logger logger(false);
  const auto refused = [&](prior::LabelHeads wrong) {
    const Trained trained(2, 1.0, std::move(wrong));
    LabelsOptions options;
    options.num_test = 1;
    return message([&] { labels(options, {1.0, 2}, trained.inputs(1), comm, logger, trained.folder.path(), "x"); });
  };
  EXPECT_NE(refused({{"colour", {"red"}, {0}}}).find("no labels called 'colour'; it has labels, brightness, width"),
      std::string::npos);
  EXPECT_NE(refused({{"labels", {"x", "y"}, {0}}}).find("x, y"), std::string::npos);
}

}  // namespace
}  // namespace hebm::evaluate
