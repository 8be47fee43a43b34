// The loop around every training, on an objective of two numbers.
#include "train/training_loop.h"
#include <ATen/core/Tensor.h>
#include <csignal>
#include "comm/single_communicator.h"
#include "storage/metrics.h"
#include "support.h"

namespace hebm::train {
namespace {

using test::slurp;

nets::Parameters one_number(std::uint32_t stream) {
  nets::Parameters out(1, stream);
  out.add("w", {1}, nets::Init::kOne);
  out.flatten();
  return out;
}

// Pulls both numbers to 0; the second one only in updates of an even number. Diverges in update
// `bad_update` of the first `bad_attempts` attempts.
struct TwoNumbers final : Objective {
  TwoNumbers(const LoopOptions& options, nets::Parameters& a, nets::Parameters& b)
      : Objective(options, {{"a.", a}, {"b.", b}}, Recorder(1, 1, at::kCPU), comm::SingleCommunicator()) {}
  Plan begin(const Update& update) override {
    if (update.number == huge_update && update.attempt == 0) buckets_[0].params.flat().fill_(1e20);
    const bool even = update.number % 2 == 0;
    return {{2, even ? 2 : 0}, {true, even}};
  }
  void learn(const Work& work, GradientSum& gradients) override {
    if (work.update.number == poisoned_update) throw std::runtime_error("it is poisoned");
    for (std::size_t b = 0; b < 2; ++b) {
      if (b == 1 && work.update.number % 2 == 1) continue;
      buckets_[b].params.grad().add_(buckets_[b].params.flat(), 0.5);
      gradients.backward_done(b);
    }
    record_.add(kLoss, 1.0);
  }
  std::string judge(const Update& update, const std::string& of_gradients) override {
    if (!of_gradients.empty()) return of_gradients;
    return update.number == bad_update && update.attempt < bad_attempts ? "it was told to" : "";
  }
  nlohmann::json saved() const override { return {{"calls", resumed.size()}}; }
  void resume(std::int64_t update, const nlohmann::json& saved) override {
    resumed.push_back({update, saved.value("calls", -1)});
  }

  std::int64_t bad_update = -1, huge_update = -1, poisoned_update = -1;
  std::uint32_t bad_attempts = 0;
  std::vector<std::pair<std::int64_t, int>> resumed;
};

LoopOptions loop_options() {
  LoopOptions out;
  out.name = "test";
  out.subject = "the test";
  out.advice = "try another";
  out.updates = 6;
  out.batch = 4;
  out.micro_batch = 2;
  out.rate = {.base = 0.1, .kind = nets::RateKind::kConstant};
  out.checkpoint_every = 1000;
  out.log_every = 1;
  return out;
}

struct World {
  test::OneThread one_thread;
  test::TempFolder folder;
  comm::SingleCommunicator comm;
  Logger logger{false};
  nets::Parameters a = one_number(0), b = one_number(1);
  TrainingRun run{folder / "run", {{"setting", 1}}, comm, logger};
};

// No checkpoint for a long time: what is logged is on the disk all the same.
TEST(TrainingLoop, MetricsReachTheDiskBetweenCheckpoints) {
  World world;
  LoopOptions options = loop_options();
  options.flush_every_s = 0.0;
  TwoNumbers objective(options, world.a, world.b);
  TrainingLoop loop(objective, world.run);
  std::vector<std::size_t> lines;
  EXPECT_EQ(
      loop.run([&](std::int64_t) { lines.push_back(storage::read_metrics(world.folder / "run").size()); }).outcome,
      Outcome::kDone);
  EXPECT_EQ(lines, (std::vector<std::size_t>{1, 2, 3, 4, 5, 6}));
}

TEST(TrainingLoop, AFlushComesAtLeastEveryFewSeconds) { EXPECT_LE(LoopOptions().flush_every_s, 10.0); }

// All ranks throw the same AgreedError, which rank 0 alone prints.
TEST(TrainingLoop, DivergenceIsSaidOnce) {
  World world;
  const auto log = world.folder / "log.txt";
  world.logger.open_file(log.string());
  LoopOptions options = loop_options();
  options.max_rollbacks = 1;
  TwoNumbers objective(options, world.a, world.b);
  objective.bad_update = 3;
  objective.bad_attempts = 9;
  try {
    TrainingLoop(objective, world.run).run();
    ADD_FAILURE() << "no error";
  } catch (const comm::AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::kDiverged);
    EXPECT_STREQ(error.what(), "the test diverged at update 3 (it was told to) and 1 rollbacks are spent; try another");
  }
  const std::string text = slurp(log);
  const std::string line = "the test diverged at update 3: it was told to";
  const auto first = text.find(line), second = text.find(line, first + 1);
  EXPECT_NE(second, std::string::npos) << "one line an attempt";
  EXPECT_EQ(text.find(line, second + 1), std::string::npos);
}

TEST(TrainingLoop, RollsBackBehindTheNewestCheckpoint) {
  World world;
  LoopOptions options = loop_options();
  options.checkpoint_every = 2;
  options.keep = 9;
  TwoNumbers objective(options, world.a, world.b);
  objective.bad_update = 5;
  objective.bad_attempts = 1;
  EXPECT_EQ(TrainingLoop(objective, world.run).run().outcome, Outcome::kDone);
  // From nothing; then from update 2, with what was saved there: that of 4 may be bad already.
  EXPECT_EQ(objective.resumed, (std::vector<std::pair<std::int64_t, int>>{{0, -1}, {2, 1}}));
  EXPECT_TRUE(std::filesystem::exists(world.folder / "run/checkpoints/step-0000004.bad"));
  const auto lines = storage::read_metrics(world.folder / "run");
  ASSERT_EQ(lines.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(lines[i]["step"], i + 1);
    EXPECT_EQ(lines[i]["attempt"], i < 2 ? 0 : 1);
  }
  EXPECT_LT(world.a.flat()[0].item<float>(), 0.5);
}

// Adam with momentum moves a weight without a gradient too: one that is not active is left alone.
// The square of 1e20 is no float: Adam's second moment would be Inf.
TEST(TrainingLoop, AGradientWhoseSquareOverflowsIsDivergence) {
  World w;
  TwoNumbers objective(loop_options(), w.a, w.b);
  objective.huge_update = 3;
  TrainingLoop loop(objective, w.run);
  EXPECT_EQ(loop.run().outcome, Outcome::kDone);
  EXPECT_EQ(objective.resumed.size(), 2u) << "the start, and one rollback";
}

TEST(TrainingLoop, OnlyActiveBucketsMove) {
  World world;
  TwoNumbers objective(loop_options(), world.a, world.b);
  std::vector<float> b;
  TrainingLoop(objective, world.run).run([&](std::int64_t) { b.push_back(world.b.flat()[0].item<float>()); });
  ASSERT_EQ(b.size(), 6u);
  for (std::size_t i = 0; i < 6; i += 2) {
    EXPECT_EQ(b[i], b[i + 1]);
    EXPECT_LT(b[i], i > 0 ? b[i - 1] : 1.0F);
  }
}

TEST(TrainingLoop, StopsWithItsStateSavedAndGoesOn) {
  World whole, parts;
  {
    TwoNumbers objective(loop_options(), whole.a, whole.b);
    EXPECT_EQ(TrainingLoop(objective, whole.run).run().outcome, Outcome::kDone);
  }
  {
    const StopFlag stop;
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    parts.run.stop = &stop;
    TwoNumbers objective(loop_options(), parts.a, parts.b);
    EXPECT_EQ(TrainingLoop(objective, parts.run).run().outcome, Outcome::kStopped);
  }
  parts.run.stop = nullptr;
  parts.a = one_number(2);
  TwoNumbers objective(loop_options(), parts.a, parts.b);
  EXPECT_EQ(TrainingLoop(objective, parts.run).run().outcome, Outcome::kDone);
  EXPECT_EQ(parts.a.flat()[0].item<float>(), whole.a.flat()[0].item<float>());
  EXPECT_EQ(parts.b.flat()[0].item<float>(), whole.b.flat()[0].item<float>());
}

TEST(TrainingLoop, AFailureNamesUpdateAndMicroBatches) {
  World world;
  TwoNumbers objective(loop_options(), world.a, world.b);
  objective.poisoned_update = 3;
  try {
    TrainingLoop(objective, world.run).run();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kRuntime);
    EXPECT_STREQ(error.what(), "update 4, micro-batches 0 to 0: internal error: it is poisoned");
  }
}

// Where all are damaged, and where only such are left from the time before.
TEST(TrainingLoop, NeverStartsFromNothingWhereCheckpointsAre) {
  World world;
  LoopOptions options = loop_options();
  options.section = "test_train";
  const auto train = [&] {
    TwoNumbers objective(options, world.a, world.b);
    return TrainingLoop(objective, world.run).run().outcome;
  };
  EXPECT_EQ(train(), Outcome::kDone);
  int damaged = 0;
  for (const auto& folder : std::filesystem::directory_iterator(world.folder / "run/checkpoints")) {
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      if (file.path().filename().string().starts_with("model-")) {
        std::filesystem::resize_file(file, 3);
        ++damaged;
      }
    }
  }
  EXPECT_EQ(damaged, 2);
  for (int again = 0; again < 2; ++again) {
    try {
      train();
      ADD_FAILURE() << "it started from nothing";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kCorrupt);
      EXPECT_NE(std::string(error.what()).find("2 checkpoints are there"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("--test_train.start_over true"), std::string::npos) << error.what();
    }
  }
  options.start_over = true;
  EXPECT_EQ(train(), Outcome::kDone);
}

}  // namespace
}  // namespace hebm::train
