#include "sweep/tasks.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "support.h"

namespace hebm::sweep::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace hebm::sweep::test
