#include <gtest/gtest.h>
#include <algorithm>
#include <nlohmann/json.hpp>
#include "../nets/support.h"
#include "base/options.h"
#include "vae/hvae.h"
#include "vae/nvae.h"

namespace hebm::vae {
namespace {

using test::expect_error;

NvaeOptions tiny() {
  NvaeOptions o;
  o.channels = 4;
  o.scales = 2;
  o.groups_per_scale = 2;
  o.latents = 2;
  o.preprocess_blocks = o.postprocess_blocks = 1;
  return o;
}

NvaeOptions mnist() {
  NvaeOptions o;
  o.channels = 32;
  o.scales = 2;
  o.groups_per_scale = 10;
  o.ada_groups = true;
  o.latents = 20;
  o.encoder_cells = o.decoder_cells = o.preprocess_blocks = o.postprocess_blocks = 2;
  o.preprocess_cells = o.postprocess_cells = 3;
  o.crop = 2;
  return o;
}

NvaeOptions cifar10() {
  NvaeOptions o;
  o.channels = 128;
  o.scales = 1;
  o.groups_per_scale = 30;
  o.latents = 20;
  o.encoder_cells = o.decoder_cells = o.preprocess_cells = o.postprocess_cells = 2;
  o.preprocess_blocks = o.postprocess_blocks = 1;
  o.flows = 1;
  o.likelihood = NvaeLikelihood::kMixture;
  return o;
}

Nvae counted(const NvaeOptions& options, const ImageShape& image) {
  return Nvae(options, image, {.device = at::kMeta});
}

// The authors' counts for their published models.
TEST(Nvae, ParametersAndLatentShapesOfTheAuthorsModels) {
  const Nvae net = counted(mnist(), {1, 32, 32});
  EXPECT_EQ(net.params().size(), 33363134);
  std::vector<LatentShape> expected(5, LatentShape{20, 4, 4});
  expected.insert(expected.end(), 10, LatentShape{20, 8, 8});
  EXPECT_EQ(net.groups(), expected);

  const Nvae cifar = counted(cifar10(), {3, 32, 32});
  EXPECT_EQ(cifar.params().size(), 130852480);
  EXPECT_EQ(cifar.groups(), std::vector<LatentShape>(30, LatentShape{20, 16, 16}));
  EXPECT_EQ(cifar.dim(), 153600);
}

TEST(NvaeScales, AdaptiveGroupsHalveAndKeepTheirMinimum) {
  NvaeOptions o = cifar10();
  o.channels = 30;
  o.scales = 5;
  o.groups_per_scale = 16;
  o.ada_groups = true;
  o.min_groups_per_scale = 4;
  const auto scales = nvae_scales(o.resolved({3, 256, 256}));
  ASSERT_EQ(scales.size(), 5u);
  const std::int64_t groups[] = {4, 4, 4, 8, 16}, sides[] = {8, 16, 32, 64, 128}, channels[] = {960, 480, 240, 120, 60};
  for (std::size_t s = 0; s < 5; ++s) {
    EXPECT_EQ(scales[s].groups, groups[s]);
    EXPECT_EQ(scales[s].side, sides[s]);
    EXPECT_EQ(scales[s].encoder_channels, channels[s]);
    EXPECT_EQ(scales[s].decoder_channels, channels[s]);
  }
  o.ada_groups = false;
  for (const auto& scale : nvae_scales(o.resolved({3, 256, 256}))) EXPECT_EQ(scale.groups, 16);
  o.groups_per_scale = 7;  // floors: 7, 3, 1, and never 0
  o.min_groups_per_scale = 1;
  o.ada_groups = true;
  EXPECT_EQ(nvae_scales(o.resolved({3, 256, 256}))[0].groups, 1);
  EXPECT_EQ(nvae_scales(o.resolved({3, 256, 256}))[3].groups, 3);
}

TEST(NvaeOptions, WhatDoesNotFitIsRefusedByName) {
  const auto refuse = [](const std::vector<std::string>& parts, const ImageShape& image,
                          const std::function<void(NvaeOptions&)>& change) {
    NvaeOptions o = tiny();
    change(o);
    expect_error(ExitCode::kUsage, parts, [&] { o.resolved(image); });
  };
  const ImageShape grey{1, 16, 16};
  refuse({"res_elu", "res_mbconv"}, grey, [](NvaeOptions& o) { o.cells = "res_elu"; });
  refuse({"postprocess_blocks"}, grey, [](NvaeOptions& o) { o.postprocess_blocks = 2; });
  refuse({"side 18", "2 times"}, {1, 18, 18}, [](NvaeOptions&) {});
  refuse({"16 x 32"}, {1, 16, 32}, [](NvaeOptions&) {});
  refuse({"nvae.side = 32"}, grey, [](NvaeOptions& o) { o.side = 32; });
  refuse({"nvae.image_channels = 3"}, grey, [](NvaeOptions& o) { o.image_channels = 3; });
  refuse({"3 channels"}, grey, [](NvaeOptions& o) { o.likelihood = NvaeLikelihood::kMixture; });
  refuse({"nvae.crop"}, grey, [](NvaeOptions& o) { o.crop = 8; });
  refuse({"nvae.bits"}, grey, [](NvaeOptions& o) { o.bits = 9; });
  refuse({"nvae.encoder_channels = 1"}, grey, [](NvaeOptions& o) { o.encoder_channels = 1; });
  refuse({"1 latent layers"}, grey, [](NvaeOptions& o) { o.scales = o.groups_per_scale = 1; });
  refuse({"400 latent layers"}, grey, [](NvaeOptions& o) { o.groups_per_scale = 200; });
  expect_error(ExitCode::kUsage, {"nvae.side"}, [] { tiny().planned_shape(); });
}

TEST(NvaeFromArchitecture, GivesTheSameNet) {
  NvaeOptions options = tiny();
  options.encoder_channels = 6;
  options.flows = 1;
  options.use_se = false;
  options.res_dist = false;
  options.likelihood = NvaeLikelihood::kMixture;
  options.mixtures = 3;
  options.bits = 5;
  const Nvae net(options, {3, 16, 16}, {.seed = 1});
  std::int64_t states = 0;
  for (const auto& s : net.params().states()) states += s.tensor.numel();
  const auto again = backbone_from_architecture(net.architecture(), {.max_values = net.params().size() + states});
  EXPECT_EQ(again->architecture(), net.architecture());
  EXPECT_EQ(again->groups(), net.groups());
  EXPECT_EQ(again->image_shape(), net.image_shape());
  EXPECT_EQ(again->likelihood().sample_channels(), 4);
  ASSERT_EQ(again->params().parameters().size(), net.params().parameters().size());
  for (std::size_t i = 0; i < net.params().parameters().size(); ++i) {
    EXPECT_EQ(again->params().parameters()[i].name, net.params().parameters()[i].name);
    EXPECT_EQ(again->params().parameters()[i].tensor.sizes(), net.params().parameters()[i].tensor.sizes());
  }
  expect_error(ExitCode::kCorrupt, {"values"},
      [&] { backbone_from_architecture(net.architecture(), {.max_values = net.params().size() + states - 1}); });
}

TEST(NvaeFromArchitecture, HostileTextIsRefused) {
  const auto good = nlohmann::json::parse(Nvae(tiny(), {1, 16, 16}, {.seed = 1}).architecture());
  const auto refuse = [](const std::string& text, const std::string& part = "architecture of the VAE") {
    expect_error(ExitCode::kCorrupt, {part}, [&] { backbone_from_architecture(text, {.max_values = 1000000}); });
  };
  backbone_from_architecture(good.dump(), {.max_values = 1000000});
  for (const char* text :
      {"", "null", "[]", "3", "{", "{}", "\xff\xfe", R"({"backbone": 3})", R"({"backbone": "hvae"})"})
    refuse(text);
  refuse(std::string(100000, '['));
  for (const auto& [key, value] : good.items()) {
    auto without = good;
    without.erase(key);
    refuse(without.dump());
    for (const char* other :
        {"null", "-1", "1.5", "1e300", "18446744073709551615", "-9223372036854775808", "65537", "\"\"", "[1]", "{}"}) {
      auto changed = good;
      changed[key] = nlohmann::json::parse(other);
      refuse(changed.dump(), key == "backbone" ? "backbone" : "architecture of the VAE");
    }
  }
  auto changed = good;
  changed["likelihood"] = "gauss";
  refuse(changed.dump(), "nvae.likelihood = 'gauss': expected bernoulli or mixture or normal");
}

// Every field within its bounds, and still many GB: refused by the number of values that the file
// holds.
TEST(NvaeFromArchitecture, MoreWeightsThanTheFileHoldsAreRefusedBeforeTheyAreAllocated) {
  auto huge = nlohmann::json::parse(Nvae(tiny(), {1, 16, 16}, {.seed = 1}).architecture());
  huge["encoder_channels"] = huge["decoder_channels"] = 4096;
  huge["latents"] = 256;
  huge["flows"] = 16;
  expect_error(
      ExitCode::kCorrupt, {"values"}, [&] { backbone_from_architecture(huge.dump(), {.max_values = 100000}); });
}

struct Chosen {
  explicit Chosen(const std::vector<std::string>& args) {
    options.describe(parsed);
    parsed.parse(args);
  }
  BackboneOptions options;
  Options parsed{"test", ""};
};

TEST(BackboneOptions, TheKindDecides) {
  const Chosen hvae({"--vae.latents", "2x2,3x4"});
  EXPECT_NE(dynamic_cast<const Hvae*>(make_backbone(hvae.options, {1, 16, 16}, 1).get()), nullptr);
  EXPECT_EQ(hvae.options.chosen().planned_shape(), std::nullopt);
  const Chosen nvae({"--vae.kind", "nvae", "--nvae.channels", "4", "--nvae.groups_per_scale", "2", "--nvae.side", "16",
      "--nvae.image_channels", "1", "--nvae.preprocess_blocks", "1", "--nvae.postprocess_blocks", "1"});
  const auto net = make_backbone(nvae.options, {1, 16, 16}, 1);
  EXPECT_NE(dynamic_cast<const Nvae*>(net.get()), nullptr);
  EXPECT_EQ(make_backbone(nvae.options, {1, 16, 16}, 1, at::kMeta)->params().size(), net->params().size());
  EXPECT_EQ(nvae.options.chosen().planned_shape(), (ImageShape{1, 16, 16}));
}

// The weights' fingerprint keeps the keys of its own kind alone; vae.kind too, but for the default.
TEST(BackboneOptions, PrefixesAreTheKeysOfTheKind) {
  const auto taken = [](const Chosen& chosen) {
    std::vector<std::string> out;
    const auto prefixes = chosen.options.prefixes();
    for (const auto& [key, value] : chosen.parsed.values()) {
      if (std::ranges::any_of(prefixes, [&](const auto& prefix) { return key.starts_with(prefix); }))
        out.push_back(key);
    }
    return out;
  };
  EXPECT_EQ(taken(Chosen({})), (std::vector<std::string>{"vae.image_from", "vae.image_sees_z", "vae.image_width",
                                   "vae.latents", "vae.likelihood", "vae.pixel_width", "vae.top_width", "vae.width"}));
  std::size_t of_nvae = 0;
  const Chosen nvae({"--vae.kind", "nvae"});
  for (const auto& [key, value] : nvae.parsed.values()) of_nvae += key.starts_with("nvae.") ? 1 : 0;
  const auto keys = taken(nvae);
  EXPECT_EQ(keys.size(), of_nvae + 1);
  EXPECT_EQ(keys.back(), "vae.kind");
  EXPECT_TRUE(backbone_sections().starts_with("vae.* and nvae.*")) << backbone_sections();
}

}  // namespace
}  // namespace hebm::vae
