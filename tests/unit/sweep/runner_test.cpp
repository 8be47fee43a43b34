// The runner with a shell script in the place of hebm_dist.
#include "sweep/runner.h"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <chrono>
#include <optional>
#include <thread>
#include "support.h"

namespace hebm::sweep::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// COMMAND FOLDER: writes its name into FOLDER/ran; FOLDER/COMMAND.sh, where there is one, is what
// it does.
constexpr const char* kProgram = R"(#!/bin/sh
echo "$1" >>"$2/ran"
if [ -e "$2/$1.sh" ]; then . "$2/$1.sh"; fi
if [ "$1" = evaluate ]; then : >"$2/summary.json"; fi
exit 0
)";

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() : program_(put(folder_ / "program", kProgram)), logger_(false) {
    fs::permissions(program_, fs::perms::owner_all);
  }

  Task task(const std::string& name) {
    const fs::path run = folder_ / name;
    storage::create_folders(run);
    Task out{.label = name, .folder = run, .products = {run / "summary.json"}};
    for (const char* command : {"train", "sample", "evaluate"}) out.steps.push_back({command, {run.string()}});
    return out;
  }
  void does(const Task& task, const std::string& command, const std::string& script) {
    put(task.folder / (command + ".sh"), script);
  }
  int run(const std::vector<Task>& tasks, std::int64_t jobs = 1, bool scheduled = false) {
    RunSettings settings;
    settings.program = {"/bin/sh", program_};
    settings.jobs = jobs;
    settings.scheduled = scheduled;
    settings.on_lost = [](const std::string& why) { ADD_FAILURE() << why; };
    const StopFlag stop;
    return Runner(settings, stop, logger_).run(tasks);
  }
  static std::string ran(const Task& task) { return storage::read_file(task.folder / "ran"); }

  TempFolder folder_;
  std::string program_;
  Logger logger_;
};

TEST_F(RunnerTest, EveryTaskRunsItsStepsInOrder) {
  const std::vector<Task> tasks = {task("a"), task("b"), task("c")};
  EXPECT_EQ(run(tasks, 2), 0);
  for (const Task& t : tasks) {
    EXPECT_EQ(ran(t), "train\nsample\nevaluate\n");
    EXPECT_EQ(t.state().standing, Standing::kDone);
    EXPECT_FALSE(fs::exists(storage::Lease::file_of(t.folder)));
  }
}

TEST_F(RunnerTest, JobsRunAtOneTime) {
  const std::vector<Task> tasks = {task("a"), task("b")};
  // Each waits for the other: only two at a time get on.
  for (const auto& [own, other] : {std::pair(0, "b"), {1, "a"}}) {
    does(tasks[static_cast<std::size_t>(own)], "train",
        fmt::format(
            ": >\"$2/here\"; for i in $(seq 600); do [ -e \"$2/../{0}/here\" ] && break; sleep 0.05; done; [ -e "
            "\"$2/../{0}/here\" ] || exit 1",
            other));
  }
  EXPECT_EQ(run(tasks, 2), 0);
}

TEST_F(RunnerTest, AFailureIsRecordedWithItsReasonAndTheOthersGoOn) {
  const std::vector<Task> tasks = {task("a"), task("b")};
  does(tasks[0], "sample", "echo 'hebm_dist: error: no such luck' >&2; echo later; exit 3");
  EXPECT_EQ(run(tasks), 1);
  const State state = tasks[0].state();
  EXPECT_EQ(state.standing, Standing::kFailed);
  EXPECT_EQ(state.step, "sample");
  EXPECT_EQ(state.exit_code, 3);
  EXPECT_EQ(state.why, "no such luck");
  EXPECT_EQ(ran(tasks[0]), "train\nsample\n");
  EXPECT_EQ(tasks[1].state().standing, Standing::kDone);
}

TEST_F(RunnerTest, WhatWasInterruptedIsStartedAgainUntilItGetsNoFurther) {
  const Task once = task("once"), never = task("never");
  does(once, "train", "[ -e \"$2/again\" ] || { : >\"$2/again\"; exit 6; }");
  EXPECT_EQ(run({once}), 0);
  EXPECT_EQ(ran(once), "train\ntrain\nsample\nevaluate\n");
  does(never, "train", "kill -KILL $$");
  EXPECT_EQ(run({never}), 1);
  EXPECT_EQ(ran(never), "train\ntrain\ntrain\ntrain\n");  // one start and three restarts
  EXPECT_EQ(never.state().standing, Standing::kFailed);
  EXPECT_THAT(never.state().why, HasSubstr("restarted 3 times"));
}

TEST_F(RunnerTest, ABatchJobLeavesWithTheCodeOfItsTask) {
  const Task saved = task("saved"), diverged = task("diverged");
  does(saved, "train", "exit 75");
  EXPECT_EQ(run({saved}, 1, true), 75);
  EXPECT_EQ(saved.state().standing, Standing::kResumable);
  EXPECT_EQ(ran(saved), "train\n");
  does(diverged, "train", "exit 3");
  EXPECT_EQ(run({diverged}, 1, true), 3);
  EXPECT_EQ(diverged.state().standing, Standing::kFailed);
}

TEST_F(RunnerTest, AStopIsPassedOnAndEverybodySavesFirst) {
  const std::vector<Task> tasks = {task("a"), task("b"), task("c")};
  for (const Task& t : tasks) {
    does(t, "train",
        "trap 'sleep 0.3; echo saved >>\"$2/ran\"; exit 75' USR1; : >\"$2/here\"; for i in $(seq 400); do sleep 0.05; "
        "done; exit 1");
  }
  std::thread stopper([&] {
    for (int i = 0; i < 400 && !(fs::exists(tasks[0].folder / "here") && fs::exists(tasks[1].folder / "here")); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ::kill(::getpid(), SIGTERM);
  });
  EXPECT_EQ(run(tasks, 2), 75);
  stopper.join();
  EXPECT_EQ(ran(tasks[0]), "train\nsaved\n");
  EXPECT_EQ(ran(tasks[1]), "train\nsaved\n");
  EXPECT_EQ(tasks[0].state().standing, Standing::kResumable);
  EXPECT_EQ(tasks[2].state().standing, Standing::kWaiting);
  EXPECT_FALSE(fs::exists(tasks[2].folder / "ran"));
}

TEST_F(RunnerTest, ATaskOfAnotherJobIsLeftAlone) {
  const Task held = task("held");
  const storage::Lease lease(held.folder, "sweep run", [](const std::string&) {});
  EXPECT_EQ(held.state().standing, Standing::kRunning);
  EXPECT_THAT(held.state().why, HasSubstr("hebm_dist sweep run, process"));
  EXPECT_EQ(run({held}), 1);
  EXPECT_FALSE(fs::exists(held.folder / "ran"));
  EXPECT_EQ(held.state().standing, Standing::kRunning);
}

TEST_F(RunnerTest, AProgramThatIsNotThereIsSaid) {
  const Task t = task("a");
  RunSettings settings;
  settings.program = {(folder_ / "nothing").string()};
  settings.on_lost = [](const std::string&) {};
  const StopFlag stop;
  EXPECT_EQ(Runner(settings, stop, logger_).run({t}), 1);
  EXPECT_EQ(t.state().exit_code, 127);
  EXPECT_THAT(t.state().why, HasSubstr("no such program"));
}

}  // namespace
}  // namespace hebm::sweep::test
