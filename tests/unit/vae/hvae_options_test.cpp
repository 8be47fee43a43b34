#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include "../nets/support.h"
#include "vae/hvae.h"

namespace hebm::vae {
namespace {

using test::expect_error;

TEST(ParseLatents, TopFirst) {
  const auto groups = parse_latents("16x2, 8x4,8x4,3x8");
  const std::vector<LatentShape> expected = {{16, 2, 2}, {8, 4, 4}, {8, 4, 4}, {3, 8, 8}};
  EXPECT_EQ(groups, expected);
}

TEST(ParseLatents, ErrorsNameTheTextAndThePart) {
  for (const char* bad : {"", ",", "8", "8x", "x8", "8x4x2", "8y4", "8x4,", "8x4;", "0x4", "8x0", "-8x4", "8x-4",
           "99999x4", "8x512", "8x99999999999999999999", "1.5x4", "8x4,8x2", "8x2,8x8", "8x4 8x8"}) {
    expect_error(ExitCode::kUsage, {"vae.latents", std::string("'") + bad + "'"}, [&] { parse_latents(bad); });
  }
  std::string many = "1x1";
  for (int i = 0; i < 64; ++i) many += ",1x1";
  expect_error(ExitCode::kUsage, {"64 layers"}, [&] { parse_latents(many); });
}

TEST(Hvae, ImageSidesThatDoNotFitAreRefused) {
  HvaeOptions options;
  options.latents = "8x2,8x4";
  for (const ImageShape& image :
      {ImageShape{1, 30, 30}, ImageShape{1, 32, 16}, ImageShape{1, 8, 8}, ImageShape{1, 4, 4}, ImageShape{1, 48, 48}}) {
    expect_error(ExitCode::kUsage, {}, [&] { Hvae(options, image, {.seed = 1}); });
  }
  Hvae(options, {3, 16, 16}, {.seed = 1});
}

class FromAnyArchitecture : public testing::TestWithParam<HvaeLikelihood> {};
INSTANTIATE_TEST_SUITE_P(OfLikelihood, FromAnyArchitecture,
    testing::Values(HvaeLikelihood::kBernoulli, HvaeLikelihood::kLogistic, HvaeLikelihood::kOneScale));

TEST_P(FromAnyArchitecture, GivesTheSameNet) {
  HvaeOptions options;
  options.latents = "4x2,2x4";
  options.likelihood = GetParam();
  options.image_from = ImageFrom::kAll;
  options.width = 12;
  const Hvae net(options, {3, 32, 32}, {.seed = 1});
  const auto again = backbone_from_architecture(net.architecture(), {.max_values = net.params().size()});
  EXPECT_EQ(again->architecture(), net.architecture());
  EXPECT_EQ(again->groups(), net.groups());
  EXPECT_EQ(again->image_shape(), net.image_shape());
  ASSERT_EQ(again->params().parameters().size(), net.params().parameters().size());
  for (std::size_t i = 0; i < net.params().parameters().size(); ++i) {
    EXPECT_EQ(again->params().parameters()[i].name, net.params().parameters()[i].name);
    EXPECT_EQ(again->params().parameters()[i].tensor.sizes(), net.params().parameters()[i].tensor.sizes());
  }
}

TEST(FromArchitecture, HostileTextIsRefused) {
  const auto good = nlohmann::json::parse(Hvae(HvaeOptions{}, {1, 32, 32}, {.seed = 1}).architecture());
  const auto refuse = [](const std::string& text, const std::string& part = "architecture of the VAE") {
    expect_error(ExitCode::kCorrupt, {part}, [&] { backbone_from_architecture(text, {.max_values = 1000000}); });
  };
  backbone_from_architecture(good.dump());
  for (const char* text :
      {"", "null", "[]", "3", "\"hvae\"", "{", "{}", "\xff\xfe", R"({"backbone": 3})", R"({"backbone": "nvae"})"})
    refuse(text);
  refuse(std::string(100000, '['));
  expect_error(ExitCode::kCorrupt, {"expected backbone hvae or nvae", ", got 'xxx"},
      [] { backbone_from_architecture(R"({"backbone": ")" + std::string(1 << 20, 'x') + "\"}"); });
  refuse(R"({"backbone": "hvae", "latents": ")" + std::string(1 << 17, 'x') + "\"}");
  for (const auto& [key, value] : good.items()) {
    auto without = good;
    without.erase(key);
    refuse(without.dump());
    for (const char* other :
        {"null", "-1", "0", "1.5", "1e300", "18446744073709551615", "-9223372036854775808", "\"\"", "[1]", "{}"}) {
      auto changed = good;
      changed[key] = nlohmann::json::parse(other);
      refuse(changed.dump(), key == "backbone" ? "backbone" : "architecture of the VAE");
    }
  }
  auto changed = good;
  changed["likelihood"] = "normal";
  refuse(changed.dump(), "'normal': expected bernoulli or logistic");
  changed = good;
  changed["latents"] = "1000000x2";
  refuse(changed.dump());
}

// Within the bounds of every field, and still many GB: refused by the number of values that the
// file holds.
TEST(FromArchitecture, MoreWeightsThanTheFileHoldsAreRefusedBeforeTheyAreAllocated) {
  auto huge = nlohmann::json::parse(Hvae(HvaeOptions{}, {1, 32, 32}, {.seed = 1}).architecture());
  huge["width"] = huge["image_width"] = huge["pixel_width"] = 4096;
  expect_error(ExitCode::kCorrupt, {"values"}, [&] { backbone_from_architecture(huge.dump(), {.max_values = 1000}); });
}

}  // namespace
}  // namespace hebm::vae
