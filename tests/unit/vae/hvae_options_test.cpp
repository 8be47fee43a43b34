#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <array>
#include <nlohmann/json.hpp>
#include <tuple>
#include "../nets/support.h"
#include "vae/hvae.h"
#include "vae/weights_file.h"

namespace hebm::vae {
namespace {

using test::expect_error;

struct OldNet {
  const char *image_from, *hash;
  std::array<double, 4> values;  // of the decoder
};
constexpr std::array<OldNet, 2> kOldNets = {{
    {"bottom", "945cec6beda0025c23c7682081533942", {-0.00206620, -0.00007700, -0.01521696, -0.00032846}},
    {"all", "5f1fb5eb66eef50cccbe09c88297f828", {-0.00339932, 0.00223725, -0.00863370, 0.00144770}},
}};

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

class FromAnyArchitecture : public testing::TestWithParam<std::tuple<HvaeLikelihood, ImageFrom, bool>> {};
INSTANTIATE_TEST_SUITE_P(OfChoices, FromAnyArchitecture,
    testing::Combine(testing::Values(HvaeLikelihood::kBernoulli, HvaeLikelihood::kLogistic, HvaeLikelihood::kOneScale),
        testing::Values(ImageFrom::kBottom, ImageFrom::kState), testing::Bool()));

TEST_P(FromAnyArchitecture, GivesTheSameNet) {
  HvaeOptions options;
  options.latents = "4x2,2x4,2x8";
  std::tie(options.likelihood, options.image_from, options.image_sees_z) = GetParam();
  options.top_width = options.image_sees_z ? 20 : 0;
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

// Of a net from before vae.image_sees_z and vae.top_width, whose hash and values are those that the
// program of that time gave it: values to the rounding of another processor.
TEST(FromArchitecture, OfBeforeTheLaterFieldsGivesTheNetOfThatTime) {
  for (const auto& [image_from, hash, values] : kOldNets) {
    const std::string text =
        R"({"backbone":"hvae","channels":1,"image_from":")" + std::string(image_from) +
        R"(","image_width":8,"latents":"2x2,2x4","likelihood":"bernoulli","pixel_width":4,"side":16,"width":4})";
    const auto net = backbone_from_architecture(text, {.seed = 3});
    EXPECT_EQ(net->architecture(), text);
    EXPECT_EQ(backbone_hash(*net), hash);
    const c10::NoGradGuard no_grad;
    const at::Tensor u = test::random_tensor({1, net->dim()}, 1, at::kFloat);
    const auto got = test::values_of(net->decode(u).flatten());
    const std::array<std::size_t, 4> at = {0, 17, 100, 255};
    for (std::size_t k = 0; k < at.size(); ++k) EXPECT_NEAR(got[at[k]], values[k], 1e-6) << image_from << ", " << k;
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
    const bool may_lack = key == "image_sees_z" || key == "top_width";
    if (!may_lack) refuse(without.dump());
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
  huge["width"] = huge["image_width"] = huge["pixel_width"] = huge["top_width"] = 4096;
  expect_error(ExitCode::kCorrupt, {"values"}, [&] { backbone_from_architecture(huge.dump(), {.max_values = 1000}); });
}

}  // namespace
}  // namespace hebm::vae
