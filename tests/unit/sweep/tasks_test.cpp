#include "sweep/tasks.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "storage/chunk_file.h"
#include "storage/hash.h"
#include "storage/verified_directory.h"
#include "support.h"

namespace hebm::sweep::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void checkpoint(const fs::path& run, const std::string& part, std::int64_t step) {
  storage::create_folders(run / part / "checkpoints");
  storage::publish_directory(run / part / "checkpoints", fmt::format("step-{:07}", step), {{"step", step}},
      [](const fs::path& folder) {
        const std::string text = "weights";
        storage::HashedFileWriter writer(folder / "model");
        writer.write(storage::as_bytes(text.data(), text.size()));
        const auto written = writer.close_durable();
        return std::vector<storage::PartResult>{{"model", written.size, written.hash}};
      },
      {0, 1, [](std::string mine) { return std::vector<std::string>{std::move(mine)}; }});
}

TEST(Tasks, WhatTheFileGivesIsNotMadeAgain) {
  const TempFolder folder;
  const Layout layout(folder / "planned");
  const auto commands = [&](const std::string& text) {
    std::vector<std::string> out;
    for (const Step& step : shared_task(layout, plan_of(folder, text + "[grid]\nprior.T = 1\n")).steps)
      out.push_back(step.command);
    return out;
  };
  EXPECT_THAT(commands(""), ElementsAre("train-vae", "train-features", "encode"));
  EXPECT_THAT(commands("[run]\nvae = v.safetensors\n"), ElementsAre("train-features", "encode"));
  EXPECT_THAT(commands("[run]\nvae = v.safetensors\nfeatures = f\ncache = c\n"), ElementsAre());
  EXPECT_THAT(commands("[train]\nsource = online\n"), ElementsAre("train-vae", "train-features"));
}

TEST(Tasks, MembersWriteOnlyTheirOwnFolderAndReadTheSharedOne) {
  const TempFolder folder;
  const Layout layout(folder / "planned");
  const Plan plan = plan_of(folder, "[grid]\nprior.T = 1 2\n");
  const auto option = [](const Task& task, const std::string& name) {
    const auto& words = task.steps.front().options;
    return *(std::find(words.begin(), words.end(), name) + 1);
  };
  const Task first = member_task(layout, plan, plan.members[0]), second = member_task(layout, plan, plan.members[1]);
  EXPECT_EQ(option(first, "--run.directory"), (layout.root / "members/0000").string());
  EXPECT_EQ(option(second, "--run.directory"), (layout.root / "members/0001").string());
  for (const char* shared : {"--run.vae", "--run.features", "--run.cache"}) {
    EXPECT_EQ(option(first, shared), option(second, shared));
    EXPECT_THAT(option(first, shared), HasSubstr((layout.root / "shared").string()));
  }
  put(layout.shared() / "vae" / "vae-readjusted.safetensors", "");
  EXPECT_EQ(option(member_task(layout, plan, plan.members[0]), "--run.vae"),
      (layout.shared() / "vae" / "vae-readjusted.safetensors").string());
}

TEST(State, IsReadFromTheFolderAlone) {
  const TempFolder folder;
  const Task task{.label = "a", .folder = folder.path(), .products = {folder / "summary.json"}};
  EXPECT_EQ(task.state().standing, Standing::kWaiting);
  record_state(folder.path(), {.standing = Standing::kRunning, .step = "train"});
  EXPECT_EQ(task.state().standing, Standing::kResumable);  // nobody holds the lease: it was killed
  EXPECT_EQ(task.state().step, "train");
  put(folder / "state.json", "{{{");
  EXPECT_EQ(task.state().standing, Standing::kResumable);
  record_state(folder.path(), {.standing = Standing::kFailed, .step = "train", .exit_code = 3, .why = "x"});
  put(folder / "summary.json", "{}");
  EXPECT_EQ(task.state().standing, Standing::kDone);
}

TEST(State, TheLastErrorOfAnOutput) {
  const TempFolder folder;
  EXPECT_EQ(last_error(folder / "none"), "");
  EXPECT_EQ(last_error(put(folder / "a", "")), "");
  EXPECT_EQ(last_error(put(folder / "a", "one\ntwo\n\n")), "two");
  EXPECT_EQ(last_error(put(folder / "a", "error: first\nx: error: second\nlast\n")), "second");
  EXPECT_EQ(last_error(put(folder / "a", std::string(100000, 'x') + "\nerror: \x1b[31mred\n")), "\\x1b[31mred");
}

TEST(Progress, CountsVerifiedStepsWholeShardsAndProducts) {
  const TempFolder run;
  EXPECT_EQ(progress_of(run.path()), (Progress{0, 0}));
  checkpoint(run.path(), "vae", 10);
  checkpoint(run.path(), "vae", 20);
  EXPECT_EQ(progress_of(run.path()), (Progress{0, 20}));
  put(run / "vae/checkpoints/step-0000020/model", "weightz");  // damaged: a restart would use the one before
  EXPECT_EQ(progress_of(run.path()), (Progress{0, 10}));
  put(run / "vae/vae.safetensors", "");
  EXPECT_EQ(progress_of(run.path()), (Progress{1, 0}));
  put(run / "cache/shard-00000-of-00004.h5", "");
  put(run / "cache/shard-00001-of-00004.h5.tmp-0123456789abcdef", "");
  EXPECT_EQ(progress_of(run.path()), (Progress{1, 1}));
  put(run / "cache/index.json", "");
  EXPECT_EQ(progress_of(run.path()), (Progress{2, 0}));
  EXPECT_LT((Progress{1, 1000}), (Progress{2, 0}));
  checkpoint(run.path(), "prior-labels", 7);  // a prior of any kind or name
  EXPECT_EQ(progress_of(run.path()), (Progress{2, 7}));
  put(run / "prior-labels/prior.safetensors", "");
  put(run / "samples/label-labels-Dress.h5", "");
  put(run / "samples/joint.h5.tmp-0123456789abcdef", "");
  EXPECT_EQ(progress_of(run.path()), (Progress{4, 0}));
  {  // whole chunks of what is unfinished; and its result
    storage::ChunkFile chunks(run / "work/results-vary/chunks", {{"a", 1}}, [](const std::string&) {});
    chunks.begin("samples to vary");
    for (int n = 0; n < 3; ++n) chunks.keep(n, "chunk", 1);
  }
  EXPECT_EQ(progress_of(run.path()), (Progress{4, 3}));
  put(run / "work/results-vary/chunks", "");
  put(run / "results/vary.json", "{}");
  put(run / "results/env.json", "{}");
  EXPECT_EQ(progress_of(run.path()), (Progress{5, 0}));
}

TEST(NoteStart, ThreeRestartsInARowWithoutAStepAreTheLast) {
  const TempFolder run;
  note_start(run.path(), false);
  for (int i = 0; i < 3; ++i) note_start(run.path(), true);
  const std::string why = expect_error(ExitCode::kRuntime, {}, [&] { note_start(run.path(), true); });
  EXPECT_THAT(why, HasSubstr("restarted 3 times without getting further than 0 products, 0 steps"));
  EXPECT_THAT(why, HasSubstr(run.path().string()));
}

TEST(NoteStart, AStepAndAPersonBeginANewCount) {
  const TempFolder run;
  note_start(run.path(), false);
  for (int i = 0; i < 3; ++i) note_start(run.path(), true);
  checkpoint(run.path(), "prior", 5);
  for (int i = 0; i < 4; ++i) note_start(run.path(), true);  // the first of them finds the step
  expect_error(ExitCode::kRuntime, {}, [&] { note_start(run.path(), true); });
  note_start(run.path(), false);
  note_start(run.path(), true, 1);
  expect_error(ExitCode::kRuntime, {}, [&] { note_start(run.path(), true, 1); });
}

TEST(NoteStart, ADamagedCountBeginsANewOne) {
  const TempFolder run;
  put(run / "starts.json", "{");
  note_start(run.path(), true, 1);
  note_start(run.path(), true, 2);
}

}  // namespace
}  // namespace hebm::sweep::test
