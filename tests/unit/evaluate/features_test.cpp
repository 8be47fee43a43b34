// The kept moments of the training images' features: read where they fit, made again where they do
// not or are damaged.
#include "evaluate/features.h"
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <fstream>
#include "comm/single_communicator.h"
#include "trained.h"

namespace hebm::evaluate {
namespace {

class TrainingMoments : public ::testing::Test {
 protected:
  TrainingMoments() { trained.features.hash = "a"; }
  Moments moments() { return training_moments(trained.dataset, trained.features, 16, {comm, logger}); }
  // Weights that no file knows of: moments that are made now differ from those that were kept.
  void change_weights() {
    const c10::NoGradGuard no_grad;
    for (const auto& p : trained.features.net->params().parameters()) p.tensor.mul_(1.5);
  }
  static void expect_equal(const Moments& a, const Moments& b) {
    EXPECT_EQ(a.count, b.count);
    EXPECT_TRUE(a.mean.equal(b.mean));
    EXPECT_TRUE(a.covariance.equal(b.covariance));
  }
  Trained trained{1};
  comm::SingleCommunicator comm;
  Logger logger{false};
};

TEST_F(TrainingMoments, AreReadTheSecondTime) {
  trained.features.file = trained.folder / "features.safetensors";
  const Moments first = moments();
  EXPECT_EQ(first.count, 36);
  ASSERT_TRUE(std::filesystem::exists(moments_file(trained.features, trained.dataset)));
  change_weights();
  expect_equal(moments(), first);
  trained.features.hash = "b";  // another classifier: its own, which replace them
  const Moments second = moments();
  EXPECT_FALSE(second.mean.equal(first.mean));
  change_weights();
  expect_equal(moments(), second);
}

TEST_F(TrainingMoments, ThatAreDamagedAreMadeAgain) {
  trained.features.file = trained.folder / "features.safetensors";
  const Moments first = moments();
  const auto path = moments_file(trained.features, trained.dataset);
  for (const bool truncated : {false, true}) {
    if (truncated) {
      std::filesystem::resize_file(path, 100);
    } else {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-9, std::ios::end);
      file.put('\x55');
    }
    expect_equal(moments(), first);
    change_weights();
    expect_equal(moments(), first);  // whole again
    trained.features.net = std::make_unique<nets::FeatureNet>(ImageShape{}, 4, 3);
  }
}

// Of a classifier without a file, or one in a folder that cannot be written.
TEST_F(TrainingMoments, DoWithoutAFile) {
  const Moments first = moments();
  trained.features.file = trained.folder / "data.h5" / "features.safetensors";
  expect_equal(moments(), first);
}

}  // namespace
}  // namespace hebm::evaluate
