#include "nets/feature_net.h"
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include "../nets/support.h"
#include "nets/tensor_io.h"

namespace hebm::nets {
namespace {

using test::expect_error;
using test::TempFolder;

at::Tensor parameter(FeatureNet& net, const std::string& name) {
  for (const auto& p : net.params().parameters()) {
    if (p.name == name) return p.tensor;
  }
  ADD_FAILURE() << "no parameter " << name;
  return {};
}

TEST(FeatureNet, Shapes) {
  const FeatureNet net({3, 32, 32}, 7, 1);
  const at::Tensor x = test::random_tensor({5, 3, 32, 32}, 1, at::kFloat);
  EXPECT_EQ(net.features(x).sizes().vec(), (std::vector<std::int64_t>{5, 128}));
  EXPECT_EQ(net.logits(x).sizes().vec(), (std::vector<std::int64_t>{5, 7}));
  EXPECT_GE(net.features(x).min().item<float>(), 0.0f);
  EXPECT_TRUE(net.logits(x).equal(net.logits_of_features(net.features(x))));
  // conv 3x3: 3 -> 16 -> 32 -> 64, hidden 64 * 4 * 4 -> 128, out 128 -> 7
  EXPECT_EQ(
      net.params().size(), (27 * 16 + 16) + (144 * 32 + 32) + (288 * 64 + 64) + (1024 * 128 + 128) + (128 * 7 + 7));
}

// Every convolution passes channel 0 on, times 1, 2 and 1: the hidden layer sees 2 max(x). Dyadic
// numbers, so all is exact.
TEST(FeatureNet, KnownAnswerOfAHandSetNet) {
  FeatureNet net({1, 8, 8}, 2, 1);
  net.params().flat().zero_();
  const c10::NoGradGuard no_grad;
  for (const auto& [name, tap] : {std::pair{"conv0.weight", 1.0}, {"conv1.weight", 2.0}, {"conv2.weight", 1.0}}) {
    parameter(net, name).select(0, 0).select(0, 0).select(0, 1).select(0, 1).fill_(tap);
  }
  at::Tensor hidden = parameter(net, "hidden.weight"), bias = parameter(net, "hidden.bias"),
             out = parameter(net, "out.weight");
  for (std::int64_t j = 0; j < 128; ++j) {
    hidden.select(0, j).select(0, 0).fill_(static_cast<double>(j - 64) / 64.0);
    bias.select(0, j).fill_(0.25);
    out.select(0, 1).select(0, j).fill_(1.0);
  }
  at::Tensor x = at::zeros({1, 1, 8, 8});
  x.select(2, 3).select(2, 5).fill_(0.75);
  x.select(2, 7).select(2, 0).fill_(0.5);
  double sum = 0;
  const auto features = test::values_of(net.features(x));
  for (std::int64_t j = 0; j < 128; ++j) {
    const double expected = std::max(0.0, static_cast<double>(j - 64) / 64.0 * 1.5 + 0.25);
    EXPECT_EQ(features[static_cast<std::size_t>(j)], expected) << j;
    sum += expected;
  }
  EXPECT_EQ(test::values_of(net.logits(x)), (std::vector<double>{0.0, sum}));
}

TEST(FeatureNet, WeightsGiveTheVarianceThroughTheLayers) {
  const FeatureNet net({1, 32, 32}, 10, 1);
  const at::Tensor f = net.features(test::random_tensor({16, 1, 32, 32}, 1, at::kFloat));
  const double rms = f.square().mean().sqrt().item<double>();
  EXPECT_GT(rms, 0.05);
  EXPECT_LT(rms, 20.0);
}

TEST(FeatureNet, FileRoundTrip) {
  const TempFolder folder;
  const auto path = folder / "features/features.safetensors";
  const FeatureNet net({1, 16, 16}, 3, 5);
  save_feature_net(path, net, 0.9125, {{"features.seed", 5}});
  const auto loaded = load_feature_net(path);
  EXPECT_EQ(loaded.accuracy, 0.9125);
  EXPECT_EQ(loaded.hash, net.hash());
  EXPECT_EQ(loaded.net->num_classes(), 3);
  EXPECT_EQ(loaded.net->image_shape(), (ImageShape{1, 16, 16}));
  EXPECT_TRUE(loaded.net->params().flat().equal(net.params().flat()));
  EXPECT_NE(net.hash(), FeatureNet({1, 16, 16}, 3, 6).hash());
}

TEST(FeatureNet, DamagedAndHostileFilesAreRefused) {
  const TempFolder folder;
  const auto path = folder / "features.safetensors";
  const FeatureNet net({1, 8, 8}, 2, 5);
  save_feature_net(path, net, 0.5, {});
  std::string bytes = test::slurp(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  test::spill(path, bytes);
  expect_error(ExitCode::kCorrupt, {path.string(), "hash"}, [&] { load_feature_net(path); });

  const auto with = [&](const std::string& key, const std::string& value) {
    std::map<std::string, std::string> metadata = {{"format", kFeaturesFormat}, {"version", kFeaturesVersion},
        {"architecture", net.architecture()}, {"identity", "{}"}, {"accuracy", "0.5"}, {"hash", net.hash()}};
    metadata[key] = value;
    publish_tensors(path, net.params().parameters(), metadata);
    return [&path] { load_feature_net(path); };
  };
  with("accuracy", "0.5")();
  expect_error(ExitCode::kCorrupt, {"accuracy"}, with("accuracy", "nan"));
  expect_error(ExitCode::kCorrupt, {"accuracy"}, with("accuracy", "1.5"));
  expect_error(ExitCode::kCorrupt, {"format"}, with("format", "hebm-vae"));
  // Shapes that the file cannot hold are refused before memory is asked for.
  expect_error(
      ExitCode::kCorrupt, {"values"}, with("architecture", R"({"channels": 4, "side": 512, "classes": 1000})"));
  expect_error(ExitCode::kCorrupt, {"side"}, with("architecture", R"({"channels": 1, "side": 1e9, "classes": 2})"));
  expect_error(
      ExitCode::kCorrupt, {"multiple of 8"}, with("architecture", R"({"channels": 1, "side": 12, "classes": 2})"));
  expect_error(ExitCode::kCorrupt, {"classes"}, with("architecture", R"({"channels": 1, "side": 8})"));
  expect_error(ExitCode::kCorrupt, {"architecture"}, with("architecture", "[[[["));
  expect_error(ExitCode::kUsage, {"30"}, [] { FeatureNet({1, 30, 30}, 10, 1); });
  expect_error(ExitCode::kUsage, {"classes", "1"}, [] { FeatureNet({1, 32, 32}, 1, 1); });
}

}  // namespace
}  // namespace hebm::nets
