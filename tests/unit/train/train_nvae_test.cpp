#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <csignal>
#include "../thread_ranks.h"
#include "comm/single_communicator.h"
#include "storage/metrics.h"
#include "storage/run_files.h"
#include "support.h"
#include "train/readjust.h"
#include "train/train_vae.h"
#include "vae/nvae_training.h"
#include "vae/weights_file.h"

namespace hebm::train {
namespace {

using test::expect_error;
using test::slurp;

VaeTrainOptions small_options() {
  VaeTrainOptions options;
  options.epochs = 2.0;  // 64 training images, batch 16: 8 updates
  options.batch = 16;
  options.micro_batch = 4;
  options.rate.warmup = 2;
  options.rate.base = 1e-2;
  options.kl_weight = 1.0;
  options.kl_delay = 1e-4;
  options.kl_anneal = 0.5;
  options.kl_min = 1e-4;
  options.kl_balance = true;
  options.spectral = 1e-2;
  options.spectral_start = 1.0;
  options.optimiser.eps = 1e-3;
  options.optimiser.weight_decay = 3e-4;
  options.data_init = true;
  options.checkpoint_every = 3;
  options.log_every = 1;
  return options;
}

struct World {
  test::OneThread one_thread;
  test::TempFolder folder;
  data::Dataset dataset = test::make_dataset(folder / "data.h5", 64, 30, 16);
  comm::SingleCommunicator comm;
  Logger logger{false};

  static vae::Nvae make_net() {
    vae::NvaeOptions options;
    options.channels = 4;
    options.groups_per_scale = 2;
    options.latents = 3;
    options.preprocess_blocks = options.postprocess_blocks = 1;
    options.preprocess_cells = options.postprocess_cells = 1;
    return vae::Nvae(options, {1, 16, 16}, {.seed = 5});
  }
  std::filesystem::path product(const std::string& run) const { return folder / run / storage::run_files::kVae; }
  Outcome train(
      const std::string& run, const VaeTrainOptions& options = small_options(), const StopFlag* stop = nullptr) {
    vae::Nvae net = make_net();
    const auto result =
        train_vae(options, net, dataset, 9, {product(run).parent_path(), {{"run.seed", 9}}, comm, logger, stop});
    EXPECT_FALSE(result.save_failed);
    return result.outcome;
  }
  std::vector<nlohmann::json> metrics(const std::string& run) const {
    return storage::read_metrics(folder / run / "vae");
  }
};

TEST(TrainNvae, LearnsAndAnnealsItsWeights) {
  World world;
  VaeTrainOptions options = small_options();
  options.epochs = 15.0;  // 60 updates, the KL weight grows over 30
  options.checkpoint_every = 1000;
  EXPECT_EQ(world.train("run", options), Outcome::kDone);
  const auto lines = world.metrics("run");
  ASSERT_EQ(lines.size(), 60u);
  EXPECT_LT(lines.back()["loss"].get<double>(), 0.8 * lines.front()["loss"].get<double>());
  for (const auto& line : lines) {
    const double step = line["step"].get<double>(), beta = std::min(1.0, (step - 1e-4 * 60) / 30);
    EXPECT_NEAR(line["kl_weight"].get<double>(), beta, 1e-12);
    // log lambda = (1 - beta) log 1 + beta log 0.01
    EXPECT_NEAR(line["spectral_weight"].get<double>(), std::pow(0.01, beta), 1e-9);
    if (beta < 1.0) continue;  // behind it the loss is the plain ELBO and the penalty
    const double kl = line["kl/layer0"].get<double>() + line["kl/layer1"].get<double>();
    const double loss = -line["log_likelihood"].get<double>() + kl + 0.01 * line["spectral_penalty"].get<double>();
    EXPECT_NEAR(line["loss"].get<double>(), loss, 1e-5 * std::fabs(loss));
  }
}

// Weights, moments, averages, running statistics, power-iteration vectors: all of it comes back.
TEST(TrainNvae, ResumeEqualsUninterruptedBitByBit) {
  World world;
  EXPECT_EQ(world.train("whole"), Outcome::kDone);
  {
    const StopFlag stop;
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(world.train("parts", small_options(), &stop), Outcome::kStopped);
  }
  EXPECT_EQ(world.train("parts"), Outcome::kDone);
  EXPECT_EQ(slurp(world.product("whole")), slurp(world.product("parts")));
  for (const char* file : {"model-00001-of-00001.safetensors", "optimizer-00001-of-00001.safetensors"}) {
    const auto part = std::filesystem::path("vae/checkpoints/step-0000008") / file;
    EXPECT_GT(slurp(world.folder / "whole" / part).size(), 1000u);
    EXPECT_EQ(slurp(world.folder / "whole" / part), slurp(world.folder / "parts" / part)) << file;
  }
  EXPECT_NE(slurp(world.folder / "parts" / "vae/checkpoints/step-0000008/optimizer-00001-of-00001.safetensors")
                .find("spectral.u.0"),
      std::string::npos);
}

// The first update's loss and gradient do not depend on how the batch is cut: a rank takes all its
// units as one tensor.
TEST(TrainNvae, UnitsAreOneBatch) {
  World world;
  VaeTrainOptions options = small_options();
  options.epochs = 0.25;
  world.train("four", options);
  options.micro_batch = 16;
  world.train("one", options);
  const auto a = world.metrics("four").front(), b = world.metrics("one").front();
  for (const char* key : {"loss", "gradient_norm", "kl/layer0", "spectral_penalty"}) EXPECT_EQ(a[key], b[key]) << key;
}

// Files of weights, with running statistics, and of moments.
TEST(TrainNvae, RecomputationChangesNoBitOnOneAndTwoRanks) {
  World world;
  VaeTrainOptions options = small_options();
  options.epochs = 0.75;
  const auto train_on = [&](int ranks, const std::string& run) {
    const auto failed = test::on_ranks(ranks, [&](comm::Communicator& comm) {
      Logger quiet(false);
      vae::Nvae net = World::make_net();
      train_vae(options, net, world.dataset, 9, {world.product(run).parent_path(), {}, comm, quiet, nullptr});
    });
    EXPECT_EQ(failed, std::vector<std::string>(static_cast<std::size_t>(ranks)));
  };
  for (const int ranks : {1, 2}) {
    const std::string kept = fmt::format("kept{}", ranks), again = fmt::format("again{}", ranks);
    options.recompute = false;
    train_on(ranks, kept);
    options.recompute = true;
    train_on(ranks, again);
    EXPECT_EQ(slurp(world.product(kept)), slurp(world.product(again)));
    const std::string moments = "checkpoints/step-0000003/optimizer-00001-of-00001.safetensors";
    EXPECT_GT(slurp(world.product(kept).parent_path() / moments).size(), 1000u);
    EXPECT_EQ(slurp(world.product(kept).parent_path() / moments), slurp(world.product(again).parent_path() / moments));
  }
}

TEST(TrainNvae, BinarisedPixelsAndRefusedSettings) {
  World world;
  VaeTrainOptions options = small_options();
  options.epochs = 0.25;
  world.train("grey", options);
  options.binarise = true;
  world.train("binary", options);
  EXPECT_NE(world.metrics("grey").front()["loss"], world.metrics("binary").front()["loss"]);
  options.deterministic = true;
  expect_error(ExitCode::kUsage, {"vae_train.deterministic"}, [&] { world.train("det", options); });
}

TEST(Readjust, StatisticsAreOfTheFileAndMadeOnce) {
  World world;
  VaeTrainOptions options = small_options();
  options.epochs = 0.5;
  world.train("run", options);
  const auto source = world.product("run"), target = world.folder / "run" / storage::run_files::kReadjustedVae;
  make_readjusted(source, target, 7, world.comm, world.logger);
  const auto raw = vae::load_backbone(source), adjusted = vae::load_backbone(target);
  EXPECT_NE(vae::backbone_hash(*raw), vae::backbone_hash(*adjusted));
  EXPECT_TRUE(raw->params().flat().equal(adjusted->params().flat()));
  const auto time = std::filesystem::last_write_time(target);
  const std::string bytes = slurp(target);
  make_readjusted(source, target, 7, world.comm, world.logger);
  EXPECT_EQ(std::filesystem::last_write_time(target), time);
  std::filesystem::remove(target);
  make_readjusted(source, target, 7, world.comm, world.logger);
  EXPECT_EQ(slurp(target), bytes);
  expect_error(ExitCode::kUsage, {target.string(), "vae.bn_readjust", "7", "8"},
      [&] { make_readjusted(source, target, 8, world.comm, world.logger); });
  EXPECT_NE(vae::read_vae_info(source).hash, vae::read_vae_info(target).hash);
}

}  // namespace
}  // namespace hebm::train
