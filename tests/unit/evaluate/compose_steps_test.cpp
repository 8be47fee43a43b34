// Composition: the order of its steps, what they hold, and what chains are asked for.
#include "evaluate/compose_steps.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <utility>
#include "trained.h"

namespace hebm::evaluate {
namespace {

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
  const auto refused = [](const std::string& steps, const std::string& words) {
    test::expect_error(ExitCode::kUsage, {words}, [&] { parse_steps(steps, heads()); });
  };
  refused("colour", "labels, brightness, width");
  refused("labels=e", "a, b, c, d");
  refused("labels/labels", "twice");
  refused("labels/brightness/width", "step 3 holds all");
  refused("labels//width", "");
}

TEST(ComposeChains, LaterStepsLeaveHeldLayersBitByBit) {
  const Trained trained(2, 1.0, heads());
  prior::LangevinOptions langevin;
  langevin.steps = 3;
  const prior::ReverseChain chain(trained.prior, trained.backbone, langevin);
  const auto steps = parse_steps("", heads());
  const std::vector<std::int64_t> asked = {0, 1, 0, 3, 0, 1};
  const auto states = compose_chains(
      chain, heads(), steps, at::tensor(asked, at::kLong).view({2, 3}), {1.0, 2}, prior::chain_ids(4, 7, 2));
  ASSERT_EQ(states.size(), 2u);
  const std::int64_t top = trained.backbone.groups()[0].size(), rest = trained.backbone.groups()[1].size();
  EXPECT_TRUE(states[1].narrow(1, 0, top).equal(states[0].narrow(1, 0, top)));
  EXPECT_GT((states[1].narrow(1, top, rest) - states[0].narrow(1, top, rest)).abs().min().item<double>(), 0.0)
      << "drawn anew";
}

}  // namespace
}  // namespace hebm::evaluate
