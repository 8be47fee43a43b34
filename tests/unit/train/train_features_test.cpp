#include "train/train_features.h"
#include <ATen/Context.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <csignal>
#include "comm/single_communicator.h"
#include "storage/run_files.h"
#include "support.h"
#include "vae/inputs.h"

namespace hebm::train {
namespace {

using test::expect_error;
using test::slurp;
using test::TempFolder;

FeatureTrainOptions small_options() {
  FeatureTrainOptions options;
  options.epochs = 6.0;
  options.batch = 32;
  options.micro_batch = 8;
  options.ema = 0.5;
  options.checkpoint_every = 10;
  return options;
}

struct World {
  test::OneThread one_thread;
  TempFolder folder;
  data::Dataset dataset = test::make_dataset(folder / "data.h5", 128, 60, 16);
  comm::SingleCommunicator comm;
  Logger logger{false};
  TrainingResult train(
      const std::string& run, const FeatureTrainOptions& options = small_options(), const StopFlag* stop = nullptr) {
    return train_features(options, dataset, {folder / run / "features", {}, comm, logger, stop});
  }
};

TEST(TrainFeatures, LearnsASeparableProblem) {
  World world;
  EXPECT_EQ(world.train("run").outcome, Outcome::kDone);
  const auto loaded = nets::load_feature_net(world.folder / "run" / storage::run_files::kFeatures);
  EXPECT_GE(loaded.accuracy, 0.95);
  EXPECT_EQ(loaded.net->num_classes(), 4);
  EXPECT_EQ(
      measure_accuracy(*loaded.net, world.dataset, data::Split::kTest, world.comm, world.logger), loaded.accuracy);
  const auto time = std::filesystem::last_write_time(world.folder / "run" / storage::run_files::kFeatures);
  EXPECT_EQ(world.train("run").outcome, Outcome::kDone);  // nothing to do
  EXPECT_EQ(std::filesystem::last_write_time(world.folder / "run" / storage::run_files::kFeatures), time);
  FeatureTrainOptions other = small_options();
  other.epochs = 7.0;
  expect_error(ExitCode::kUsage, {"features.epochs", "6.0", "7.0"}, [&] { world.train("run", other); });
}

TEST(TrainFeatures, KeepsCheckpointsAsEveryTraining) {
  FeatureTrainOptions of_user;
  Options options("test", "");
  of_user.describe(options);
  options.parse(std::vector<std::string>{"--features.keep", "3", "--features.checkpoint_every", "7"});
  EXPECT_EQ(of_user.keep, 3);
  EXPECT_EQ(of_user.checkpoint_every, 7);
  for (const auto& [key, value] : options.fingerprint()) EXPECT_TRUE(key != "features.keep") << key;
}

TEST(TrainFeatures, ResumeEqualsUninterruptedBitByBit) {
  World world;
  world.train("whole");
  {
    const StopFlag stop;
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(world.train("parts", small_options(), &stop).outcome, Outcome::kStopped);
  }
  EXPECT_EQ(world.train("parts").outcome, Outcome::kDone);
  EXPECT_EQ(slurp(world.folder / "whole" / storage::run_files::kFeatures),
      slurp(world.folder / "parts" / storage::run_files::kFeatures));
}

TEST(TrainFeatures, TooLowAnAccuracyIsAnError) {
  World world;
  FeatureTrainOptions options = small_options();
  options.epochs = 0.25;
  options.rate.base = 1e-9;
  expect_error(ExitCode::kRuntime, {"accuracy", "features.min_accuracy = 0.9"}, [&] { world.train("run", options); });
  EXPECT_FALSE(std::filesystem::exists(world.folder / "run" / storage::run_files::kFeatures));
  options.min_accuracy = 0.0;
  world.train("run", options);
  EXPECT_TRUE(std::filesystem::exists(world.folder / "run" / storage::run_files::kFeatures));
}

TEST(TrainFeatures, ADataSetWithoutLabelsIsRefused) {
  World world;
  data::DatasetContent content;
  content.shape = {1, 8, 8};
  content.source = "test";
  content.pixels.assign(2 * 64, 7);
  content.splits = {0, 1};
  data::write_dataset(world.folder / "bare.h5", content);
  const auto bare = data::Dataset::open(world.folder / "bare.h5");
  expect_error(ExitCode::kUsage, {"bare.h5", "labels"}, [&] {
    train_features(small_options(), bare, {world.folder / "run", {}, world.comm, world.logger});
  });
}

TEST(ShiftedImages, MoveByTheirShiftsAndFillWithZero) {
  ImageBatch batch;
  batch.shape = {2, 3, 4};
  batch.count = 3;
  for (int i = 0; i < 3 * 24; ++i) batch.pixels.push_back(static_cast<std::uint8_t>(3 * i + 1));
  const std::vector<Shift> shifts = {{0, 0}, {1, -2}, {-5, 0}};  // the last one: out of sight
  const at::Tensor x = shifted_images(batch, shifts, at::kCPU);
  ASSERT_EQ(x.sizes().vec(), (std::vector<std::int64_t>{3, 2, 3, 4}));
  EXPECT_EQ(x.strides().vec(), (std::vector<std::int64_t>{24, 12, 4, 1})) << "as layers expect it";
  for (std::int64_t n = 0; n < 3; ++n) {
    const auto [dy, dx] = shifts[static_cast<std::size_t>(n)];
    for (std::int64_t c = 0; c < 2; ++c) {
      for (std::int64_t y = 0; y < 3; ++y) {
        for (std::int64_t x_to = 0; x_to < 4; ++x_to) {
          const bool inside = y - dy >= 0 && y - dy < 3 && x_to - dx >= 0 && x_to - dx < 4;
          const auto from = static_cast<std::size_t>(((n * 2 + c) * 3 + y - dy) * 4 + x_to - dx);
          const float expected = inside ? static_cast<float>(batch.pixels[from]) / 255.0F : 0.0F;
          EXPECT_EQ(x[n][c][y][x_to].item<float>(), expected) << n << ' ' << y << ' ' << x_to;
        }
      }
    }
  }
}

TEST(ShiftedImages, WithoutAShiftHaveTheBitsAndStridesOfImageTensor) {
  ImageBatch batch;
  batch.shape = {1, 5, 7};
  batch.count = 2;
  for (int i = 0; i < 70; ++i) batch.pixels.push_back(static_cast<std::uint8_t>(3 * i));
  const at::Tensor x = shifted_images(batch, {{0, 0}, {0, 0}}, at::kCPU), plain = vae::image_tensor(batch);
  EXPECT_TRUE(at::equal(x, plain));
  EXPECT_EQ(x.strides(), plain.strides());
}

TEST(ShiftedImages, OfAGpuAreTheHosts) {
  if (!at::globalContext().hasCUDA()) GTEST_SKIP() << "wants the preset cuda and a GPU";
  ImageBatch batch;
  batch.shape = {3, 8, 8};
  batch.count = 4;
  for (int i = 0; i < 4 * 192; ++i) batch.pixels.push_back(static_cast<std::uint8_t>(i));
  const std::vector<Shift> shifts = {{0, 1}, {-2, 0}, {3, 3}, {-1, 2}};
  const at::Tensor host = shifted_images(batch, shifts, at::kCPU);
  EXPECT_TRUE(at::allclose(shifted_images(batch, shifts, at::kCUDA).cpu(), host, 1e-6, 0.0));
}

}  // namespace
}  // namespace hebm::train
