#include "train/train_vae.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <limits>
#include <memory>
#include "comm/single_communicator.h"
#include "nets/tensor_io.h"
#include "storage/metrics.h"
#include "storage/run_files.h"
#include "support.h"
#include "train/measure.h"
#include "vae/hvae.h"
#include "vae/weights_file.h"

namespace hebm::train {
namespace {

using test::expect_error;
using test::slurp;
using test::TempFolder;

// 64 training images, batch 16 in micro-batches of 8: 4 updates an epoch, 8 in all.
VaeTrainOptions small_options() {
  VaeTrainOptions options;
  options.epochs = 2.0;
  options.batch = 16;
  options.micro_batch = 8;
  options.rate.warmup = 2;
  options.checkpoint_every = 3;
  options.log_every = 1;
  return options;
}

struct World {
  test::OneThread one_thread;
  TempFolder folder;
  data::Dataset dataset = test::make_dataset(folder / "data.h5", 64, 30, 16);
  comm::SingleCommunicator comm;
  Logger logger{false};

  static vae::Hvae make_net(std::uint64_t seed = 5) {
    vae::HvaeOptions options;
    options.latents = "2x2,3x4";
    options.likelihood = vae::HvaeLikelihood::kBernoulli;  // no weight is far above 0.1
    options.width = options.image_width = options.pixel_width = options.top_width = 8;
    return vae::Hvae(options, {1, 16, 16}, {.seed = seed});
  }
  std::filesystem::path run_directory(const std::string& run) const { return folder / run; }
  std::filesystem::path product(const std::string& run) const { return run_directory(run) / storage::run_files::kVae; }

  // New objects each time, as in a new process.
  Outcome train(const std::string& run, const VaeTrainOptions& options = small_options(),
      const StopFlag* stop = nullptr, const nlohmann::json& fingerprint = {{"run.seed", 9}}) {
    vae::Hvae net = make_net();
    const auto result =
        train_vae(options, net, dataset, 9, {product(run).parent_path(), fingerprint, comm, logger, stop});
    EXPECT_FALSE(result.save_failed);
    return result.outcome;
  }
  std::vector<nlohmann::json> metrics(const std::string& run) const {
    return storage::read_metrics(run_directory(run) / "vae");
  }
};

TEST(VaeTrainOptions, ComputesWholeMicroBatchesTogether) {
  VaeTrainOptions options;
  options.batch = 120;
  options.micro_batch = 24;
  EXPECT_EQ(options.together({1, 32, 32}), 120);
  EXPECT_EQ(options.together({1, 64, 64}), 24) << "32 images have as many values as are taken at once";
  EXPECT_EQ(options.together({3, 256, 256}), 24) << "a micro-batch at least";
  options.images_at_once = 95;
  EXPECT_EQ(options.together({3, 256, 256}), 72);
  options.deterministic = true;
  EXPECT_EQ(options.together({1, 32, 32}), 24);
}

TEST(VaeTrainOptions, RefusesWhatCannotBe) {
  const auto refused = [](auto set, bool has_statistics, const std::string& word) {
    VaeTrainOptions options;
    set(options);
    expect_error(ExitCode::kUsage, {word}, [&] { options.expect_possible(3, has_statistics, 1); });
  };
  refused([](auto& o) { o.batch = 100; }, false, "vae_train.micro_batch");
  refused([](auto& o) { o.spectral = 0.1; }, false, "vae_train.spectral");
  refused([](auto& o) { o.recompute = true; }, false, "vae_train.recompute");
  refused([](auto& o) { o.deterministic = true; }, true, "vae_train.deterministic");
  refused([](auto& o) { o.images_at_once = 8; }, true, "vae_train.images_at_once");
  refused([](auto& o) { o.kl_targets = {20, 30}; }, false, "2 targets for 3");
  refused([](auto& o) { o.kl_targets = {20, 30, 60}, o.free_bits = 1; }, false, "vae_train.kl_targets");
  refused([](auto& o) { o.kl_targets = {20, 30, 60}, o.kl_balance = true; }, true, "vae_train.kl_targets");
  VaeTrainOptions options;
  options.recompute = true;
  options.spectral = 0.1;
  options.kl_targets = {20, 30, 60};
  options.expect_possible(3, true, 1);
}

TEST(TrainVae, LearnsAndPublishesTheAveragedWeights) {
  World world;
  VaeTrainOptions options = small_options();
  options.epochs = 20.0;
  options.checkpoint_every = 1000;  // every one costs a dozen fsyncs
  options.rate.base = 1e-2;
  options.log_every = 10;
  EXPECT_EQ(world.train("run", options), Outcome::kDone);
  const auto lines = world.metrics("run");
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines.back()["step"], 80);
  EXPECT_LT(lines.back()["loss"].get<double>(), 0.8 * lines.front()["loss"].get<double>());
  for (const char* key :
      {"log_likelihood", "kl_weight", "kl/layer0", "kl/layer1", "learning_rate", "gradient_norm", "images_per_s"}) {
    EXPECT_TRUE(lines.front().contains(key) && lines.front()[key].is_number()) << key;
  }
  const auto info = vae::read_vae_info(world.product("run"));
  EXPECT_EQ(info.fingerprint["run.seed"], 9);
  EXPECT_EQ(info.results["num_images"], 30);
  EXPECT_EQ(info.results["split"], "test");
  const auto net = vae::load_backbone(world.product("run"));
  const storage::SafetensorsFile last(
      world.run_directory("run") / "vae/checkpoints/step-0000080/optimizer-00001-of-00001.safetensors");
  at::Tensor averaged = net->params().flat().clone().zero_();
  nets::load_tensors(last, {{"ema", averaged}}, true);
  EXPECT_TRUE(net->params().flat().equal(averaged));
  const Elbo elbo = measure_elbo({*net, world.dataset, 9}, data::Split::kTest, 2000, world.comm, world.logger);
  EXPECT_EQ(elbo.to_json()["elbo"], info.results["elbo"]);
  EXPECT_NEAR(elbo.value(), elbo.log_likelihood - elbo.kl[0] - elbo.kl[1], 1e-9);
}

// free_bits hold for each micro-batch, however many are computed together: at the mean KL of the
// layer they hold in some and not in others.
TEST(TrainVae, MicroBatchesTogetherHaveTheSameLoss) {
  World world;
  VaeTrainOptions options = small_options();
  options.micro_batch = 4;
  options.epochs = 0.5;
  options.kl_anneal = 0.0;
  options.kl_weight = 1.0;
  world.train("probe", options);
  options.free_bits = world.metrics("probe")[0]["kl/layer0"].get<double>();
  options.images_at_once = 1;
  world.train("alone", options);
  const auto alone = world.metrics("alone");
  options.deterministic = true;
  options.images_at_once = 128;
  world.train("deterministic", options);
  EXPECT_EQ(world.metrics("deterministic")[0]["loss"], alone[0]["loss"]);
  options.deterministic = false;
  for (const std::int64_t images : {8, 12, 128}) {  // 2 + 2, 3 + 1, all four
    options.images_at_once = images;
    const std::string run = std::to_string(images);
    world.train(run, options);
    const auto together = world.metrics(run);
    ASSERT_EQ(together.size(), alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i) {
      for (const char* key : {"loss", "gradient_norm", "kl/layer0", "kl/layer1"}) {
        const double expected = alone[i][key];
        EXPECT_NEAR(together[i][key], expected, 1e-4 * std::abs(expected)) << images << ' ' << i << ' ' << key;
      }
    }
  }
}

// The weights of the KL terms are state: in a run with targets they resume too.
class TrainVaeWithOrWithoutTargets : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, TrainVaeWithOrWithoutTargets, testing::Bool());

TEST_P(TrainVaeWithOrWithoutTargets, ResumeEqualsUninterruptedBitByBit) {
  World world;
  VaeTrainOptions options = small_options();
  if (GetParam()) options.kl_targets = {2.0, 9.0};
  EXPECT_EQ(world.train("whole", options), Outcome::kDone);
  {
    const StopFlag stop;
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(world.train("parts", options, &stop), Outcome::kStopped);  // one update each
  }
  EXPECT_FALSE(std::filesystem::exists(world.product("parts")));
  EXPECT_EQ(world.train("parts", options), Outcome::kDone);
  EXPECT_EQ(slurp(world.product("whole")), slurp(world.product("parts")));
  const auto whole = world.run_directory("whole") / "vae/checkpoints/step-0000008",
             parts = world.run_directory("parts") / "vae/checkpoints/step-0000008";
  for (const char* file : {"model-00001-of-00001.safetensors", "optimizer-00001-of-00001.safetensors"}) {
    EXPECT_GT(slurp(whole / file).size(), 1000u);
    EXPECT_EQ(slurp(whole / file), slurp(parts / file)) << file;
  }
  const auto a = world.metrics("whole"), b = world.metrics("parts");
  ASSERT_EQ(a.size(), 8u);
  ASSERT_EQ(b.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i) {
    for (const char* key : {"step", "loss", "gradient_norm", "learning_rate"})
      EXPECT_EQ(a[i][key], b[i][key]) << i << ' ' << key;
  }
}

TEST(TrainVae, IsDoneOnceAndRefusesOtherSettings) {
  World world;
  EXPECT_EQ(world.train("run"), Outcome::kDone);
  const auto time = std::filesystem::last_write_time(world.product("run"));
  EXPECT_EQ(world.train("run"), Outcome::kDone);
  EXPECT_EQ(std::filesystem::last_write_time(world.product("run")), time);
  EXPECT_EQ(world.metrics("run").size(), 8u);
  expect_error(ExitCode::kUsage, {world.product("run").string(), "run.seed", "9", "10"}, [&] {
    world.train("run", small_options(), nullptr, {{"run.seed", 10}});
  });
  std::filesystem::remove(world.product("run"));  // the checkpoints hold it too
  expect_error(ExitCode::kUsage, {"run.seed"}, [&] {
    world.train("run", small_options(), nullptr, {{"run.seed", 10}});
  });
  test::spill(world.product("run"), "no weights");
  expect_error(ExitCode::kCorrupt, {world.product("run").string()}, [&] { world.train("run"); });
}

TEST(TrainVae, TheLossIsTheElboWithItsWeights) {
  World world;
  VaeTrainOptions options = small_options();
  options.kl_weight = 0.5;
  options.kl_anneal = 0.5;  // of 8 updates: 1/4, 2/4, 3/4, 1, 1, ...
  world.train("run", options);
  for (const auto& line : world.metrics("run")) {
    const auto step = line["step"].get<double>(), weight = 0.5 * std::min(1.0, step / 4.0);
    EXPECT_NEAR(line["kl_weight"].get<double>(), weight, 1e-12);
    const double kl = line["kl/layer0"].get<double>() + line["kl/layer1"].get<double>();
    const double loss = -line["log_likelihood"].get<double>() + weight * kl;
    EXPECT_NEAR(line["loss"].get<double>(), loss, 1e-5 * std::fabs(loss));  // float32 against double sums
  }
  options.free_bits = 1000.0;  // more than any layer has: a constant
  options.kl_anneal = 0.0;
  world.train("free", options);
  const auto line = world.metrics("free").front();
  EXPECT_NEAR(line["loss"].get<double>(), -line["log_likelihood"].get<double>() + 0.5 * 2 * 1000.0, 1e-3);
}

// The size of the micro-batches is a matter of speed: the same first loss and gradient, to float32
// sums of 16 images.
TEST(TrainVae, MicroBatchesMakeTheSameUpdate) {
  World world;
  for (const std::int64_t size : {4, 16}) {
    VaeTrainOptions options = small_options();
    options.micro_batch = size;
    options.deterministic = size == 4;
    world.train("micro" + std::to_string(size), options);
  }
  const auto a = world.metrics("micro4").front(), b = world.metrics("micro16").front();
  for (const char* key : {"loss", "gradient_norm", "kl/layer0"}) {
    EXPECT_NEAR(a[key].get<double>(), b[key].get<double>(), 1e-5 * std::fabs(a[key].get<double>())) << key;
  }
  VaeTrainOptions options = small_options();
  options.micro_batch = 5;
  expect_error(ExitCode::kUsage, {"vae_train.batch", "16", "5"}, [&] { world.train("micro5", options); });
}

TEST(TrainVae, DivergenceRollsBackThreeTimesThenGivesUp) {
  World world;
  VaeTrainOptions options = small_options();
  options.rate.base = 1e30;
  options.clip_norm = 0.0;
  options.rate.warmup = 0;
  const auto log = world.folder / "log.txt";
  world.logger.open_file(log.string());
  expect_error(ExitCode::kDiverged, {"train-vae diverged", "3 rollbacks", "vae_train.learning_rate"},
      [&] { world.train("run", options); });
  const std::string text = slurp(log);
  EXPECT_NE(text.find("attempt 3"), std::string::npos);
  EXPECT_EQ(text.find("attempt 4"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(world.product("run")));
}

TEST(TrainVae, GradientIsClippedToTheNorm) {
  World world;
  VaeTrainOptions options = small_options();
  options.epochs = 0.25;  // one update
  options.schedule = SmoothRate::kConstant;
  options.rate.warmup = 0;
  options.clip_norm = 1e-12;  // far below Adam's eps of 1e-8: the step is rate * gradient / eps
  options.rate.base = 1e-3;
  options.ema = 0.0;
  world.train("run", options);
  const auto net = vae::load_backbone(world.product("run"));
  const double moved = (net->params().flat() - World::make_net().params().flat()).norm().item<double>();
  EXPECT_NEAR(moved, 1e-3 * 1e-12 / 1e-8, 0.02 * 1e-7);  // weights of 0.1 round to 7e-9, thousands of them
}

TEST(TrainVae, UnusedLayersAreToldAtTheEnd) {
  World world;
  const auto log = world.folder / "log.txt";
  world.logger.open_file(log.string());
  VaeTrainOptions options = small_options();
  options.kl_weight = 1000.0;
  options.kl_anneal = 0.0;
  options.epochs = 15.0;
  options.checkpoint_every = 1000;
  options.rate.base = 1e-2;
  world.train("run", options);
  EXPECT_NE(slurp(log).find("WARNING: latent layer 0 carries"), std::string::npos);
}

}  // namespace
}  // namespace hebm::train
