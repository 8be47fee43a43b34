// What is told of a backbone whose layers' part in an image is known: the top one says its
// brightness, by which the classifier tells two classes apart, the bottom one says nothing.
#include "evaluate/hierarchy.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <cmath>
#include "../support.h"
#include "../thread_ranks.h"
#include "base/random.h"
#include "comm/single_communicator.h"
#include "data/batch_order.h"

namespace hebm::evaluate {
namespace {

constexpr std::int64_t kSide = 8, kTrain = 400, kTest = 300;
constexpr std::uint8_t kDark = 51, kBright = 204;                // 0.2 and 0.8
constexpr double kTopKl = 3.0, kBottomKl = 0.5, kNarrow = 0.01;  // nats an element; the top's deviation

// u_0 = +-1 + narrow noise of a bright or dark image; u_1 is noise. Images: Bernoulli means.
class TwoLayers final : public vae::Backbone, private vae::TopDownLayers {
 public:
  TwoLayers()
      : Backbone(
            {{1, kSide, kSide}, {vae::LikelihoodKind::kBernoulli, 1}, {{1, 1, 1}, {2, 1, 1}}}, nets::Parameters(0, 0)) {
    params().flatten();
  }
  std::string architecture() const override { return "{}"; }
 private:
  const vae::TopDownLayers& layers() const override { return *this; }
  at::Tensor start(std::int64_t count) const override { return at::zeros({count, 1, 1, 1}); }
  at::Tensor enter(std::size_t, const at::Tensor& s) const override { return s; }
  vae::LayerNormal prior(std::size_t, const at::Tensor& s) const override {
    const at::Tensor mu = s.expand({-1, 2, -1, -1});
    return {mu, at::full_like(mu, 1.0), {}};
  }
  at::Tensor absorb(std::size_t i, const at::Tensor& s, const at::Tensor& z) const override { return i == 0 ? z : s; }
  std::vector<at::Tensor> encode(const at::Tensor& x) const override {
    const at::Tensor bright = x.mean({1, 2, 3}, true).gt(0.5);
    return {at::where(bright, 1.0, -1.0).to(at::kFloat), {}};
  }
  vae::LayerDraw draw(
      std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const override {
    if (i == 0) {
      const at::Tensor u = feature + kNarrow * eps;
      return {u, u, at::full_like(u, kTopKl)};
    }
    return {s + eps, eps, at::full_like(eps, kBottomKl)};
  }
  at::Tensor image(const at::Tensor& s) const override {
    const double logit = std::log(4.0);  // of 0.8
    return at::where(s.gt(0.0), logit, -logit).to(at::kFloat).expand({-1, 1, kSide, kSide});
  }
};

// Features: the first is the brightness (its pixels' middle), the others 0. Class 1: above 0.5.
void tell_brightness(nets::FeatureNet& net) {
  const c10::NoGradGuard no_grad;
  for (const auto& p : net.params().parameters()) {
    p.tensor.zero_();
    if (p.name.starts_with("conv") && p.name.ends_with("weight")) p.tensor[0][0][1][1].fill_(1.0);
    if (p.name == "hidden.weight") p.tensor[0][0].fill_(1.0);
    if (p.name == "out.weight") p.tensor[1][0].fill_(1.0);
    if (p.name == "out.bias") p.tensor[0].fill_(0.5);
  }
}

class World {
 public:
  World() : dataset(make_dataset(folder / "data.h5")) {
    features.net = std::make_unique<nets::FeatureNet>(ImageShape{1, kSide, kSide}, 2, 3);
    tell_brightness(*features.net);
  }
  results::Hierarchy look(const HierarchyOptions& options, comm::Communicator& comm) const {
    Logger logger(false);
    return hierarchy(options, {dataset, backbone, features}, {comm, logger});
  }
  results::Hierarchy look(const HierarchyOptions& options) const {
    comm::SingleCommunicator comm;
    return look(options, comm);
  }
  static std::int64_t label(std::int64_t image) { return image % 3 == 0 ? 1 : 0; }

  test::TempFolder folder;
  TwoLayers backbone;
  data::Dataset dataset;
  nets::LoadedFeatureNet features;
 private:
  static data::Dataset make_dataset(const std::filesystem::path& path) {
    data::DatasetContent content;
    content.shape = {1, kSide, kSide};
    for (std::int64_t i = 0; i < kTrain + kTest; ++i) {
      content.labels.push_back(label(i));
      content.pixels.insert(content.pixels.end(), kSide * kSide, label(i) == 1 ? kBright : kDark);
      content.splits.push_back(i < kTrain ? 0 : 1);
    }
    content.label_names = {"dark", "bright"};
    content.source = "two brightnesses";
    data::write_dataset(path, content);
    return data::Dataset::open(path);
  }
};

HierarchyOptions all_images() {
  HierarchyOptions options;
  options.num_images = kTest;
  options.probe_images = kTrain;
  options.chunk = 70;  // the last one is padded
  return options;
}

TEST(Hierarchy, OfLayersWhosePartIsKnown) {
  const World world;
  const auto result = world.look(all_images());
  ASSERT_EQ(result.layers.size(), 2u);
  const auto &top = result.layers[0], &bottom = result.layers[1];
  EXPECT_NEAR(top.kl, kTopKl, 1e-6);
  EXPECT_NEAR(bottom.kl, 2 * kBottomKl, 1e-6);  // of two elements
  EXPECT_NEAR(top.kl_share, 0.75, 1e-6);

  // The share of neighbours in the ring whose labels differ.
  const auto ring = data::BatchOrder(kTest, kTest, static_cast<std::uint64_t>(all_images().seed)).members(0, 0, kTest);
  double different = 0;
  for (std::size_t k = 0; k < ring.size(); ++k) {
    const auto of = [&](std::size_t at) { return World::label(kTrain + ring[at % ring.size()].position); };
    different += of(k) == of(k + 1) ? 0 : 1;
  }
  EXPECT_GT(different, 50);
  EXPECT_NEAR(top.class_changed, different / kTest, 1e-12);
  EXPECT_NEAR(top.feature_distance, 1.0, 1e-6);
  EXPECT_EQ(bottom.class_changed, 0.0);
  EXPECT_EQ(bottom.feature_distance, 0.0);
  EXPECT_EQ(top.below_drawn_class_changed, 0.0);
  EXPECT_TRUE(std::isnan(bottom.below_drawn_class_changed));

  // Of noise the best guess is the commoner label, 2/3; five standard errors of 300 images.
  EXPECT_EQ(top.probe_accuracy, 1.0);
  EXPECT_LT(bottom.probe_accuracy, 2.0 / 3.0 + 5 * std::sqrt(2.0 / 9.0 / kTest));
  // One bright in three: variance 8/9 of +-1. Noise: 1 within five standard errors of 600 numbers.
  EXPECT_NEAR(top.variance, 8.0 / 9.0, 0.01);
  EXPECT_NEAR(bottom.variance, 1.0, 5 * std::sqrt(2.0 / 600));

  // Reconstructions are the images; the Gaussian prior has as many dark as bright ones: means 0.4
  // and 0.5 of brightness, variances (0.6)^2 p (1 - p) with p = 1/3 and 1/2.
  EXPECT_NEAR(result.fd_reconstruction, 0.0, 1e-4);
  const double d = 0.6 * (std::sqrt(2.0) / 3 - 0.5), truth = 0.01 + d * d;
  EXPECT_NEAR(result.fd_gaussian, truth, 5 * 2 * 0.1 * 0.3 / std::sqrt(kTest) + 1e-3);
  EXPECT_NEAR(result.reconstruction_of_gaussian, result.fd_reconstruction / result.fd_gaussian, 1e-12);
}

TEST(Hierarchy, IsTheSameForAnyNumberOfRanks) {
  const World world;
  const auto alone = results::to_json(world.look(all_images()));
  nlohmann::json shared;
  const auto thrown = test::on_ranks(3, [&](comm::Communicator& comm) {
    EXPECT_EQ(comm.size(), 3);
    const auto result = results::to_json(world.look(all_images(), comm));
    if (comm.is_root()) shared = result;
  });
  EXPECT_EQ(thrown, std::vector<std::string>(3));
  EXPECT_EQ(shared, alone);
}

TEST(Hierarchy, MoreImagesThanThereAreAreRefused) {
  const World world;
  auto options = all_images();
  options.num_images = kTest + 1;
  test::expect_error(ExitCode::kUsage, {"hierarchy.num_images = 301", "300 test"}, [&] { world.look(options); });
  options = all_images();
  options.probe_images = kTrain + 1;
  test::expect_error(ExitCode::kUsage, {"hierarchy.probe_images = 401", "400 train"}, [&] { world.look(options); });
}

}  // namespace
}  // namespace hebm::evaluate
