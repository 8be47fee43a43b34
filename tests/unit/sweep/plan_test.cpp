#include "sweep/plan.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "support.h"

namespace hebm::sweep::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> described(const Plan& plan) {
  std::vector<std::string> out;
  for (const Member& member : plan.members) out.push_back(member.name() + " " + member.describe());
  return out;
}

TEST(Plan, AGridIsTheProductOfItsLinesAndLaterLinesVaryFaster) {
  const TempFolder folder;
  const Plan plan = plan_of(folder, "[train]\nupdates = 6\n[grid]\nprior.T = 1 2\nlangevin.steps = 10 50 100\n");
  EXPECT_THAT(described(plan), ElementsAre("0000 prior.T=1 langevin.steps=10", "0001 prior.T=1 langevin.steps=50",
                                   "0002 prior.T=1 langevin.steps=100", "0003 prior.T=2 langevin.steps=10",
                                   "0004 prior.T=2 langevin.steps=50", "0005 prior.T=2 langevin.steps=100"));
  EXPECT_EQ(plan.value("train.updates"), "6");
  EXPECT_TRUE(plan.varies("prior.T"));
  EXPECT_FALSE(plan.varies("train.updates"));
}

TEST(Plan, MembersShareWhatARunHas) {
  const TempFolder folder;
  Plan plan = plan_of(folder, "[data]\npath = other.h5\n[run]\nvae = other\n[grid]\nprior.T = 1 2\n");
  const std::string before = plan.value("data.path");
  for (const char* file : {"vae/vae.safetensors", "features/features.safetensors", "cache/index.json"})
    put(folder / "run" / file, "");
  share(plan, folder / "run");
  EXPECT_EQ(plan.value("run.vae"), (folder / "run/vae/vae.safetensors").string());
  EXPECT_EQ(plan.value("run.cache"), (folder / "run/cache").string());
  EXPECT_EQ(plan.value("data.path"), before) << "the run has none";
  put(folder / "run/dataset.h5", "");
  share(plan, folder / "run");
  EXPECT_EQ(plan.value("data.path"), (folder / "run/dataset.h5").string());
  std::filesystem::remove(folder / "run/features/features.safetensors");
  expect_error(ExitCode::kUsage, {"features.safetensors is not there"}, [&] { share(plan, folder / "run"); });
}

TEST(Plan, ASweepIsTheUnionOfItsGridsWithACrossingOnce) {
  const TempFolder folder;
  const Plan plan = plan_of(
      folder, "[langevin]\nsteps = 50\n[prior]\nT = 3\n[grid-T]\nprior.T = 2 3\n[grid-K]\nlangevin.steps = 10 50\n");
  EXPECT_THAT(described(plan), ElementsAre("0000 prior.T=2 langevin.steps=50", "0001 prior.T=3 langevin.steps=50",
                                   "0002 prior.T=3 langevin.steps=10"));
}

TEST(Plan, ValuesMayHoldCommasAndMembersAreConfigurationFiles) {
  const TempFolder folder;
  const Plan plan = plan_of(folder, "[grid]\nprior.alpha_cum = 0.9,0.5 0.8,0.1\ntrain.seed = 4\n");
  ASSERT_EQ(plan.members.size(), 2U);
  EXPECT_EQ(plan.members[1].ini(), "[prior]\nalpha_cum = 0.8,0.1\n[train]\nseed = 4\n");
}

TEST(Plan, TheSweepsFileWinsOverTheFileThatItStartsFrom) {
  const TempFolder folder;
  put(folder / "base.ini", "[train]\nupdates = 6\nbatch = 48\n");
  const Plan plan = plan_of(folder, "[sweep]\nconfig = base.ini\n[train]\nupdates = 9\n[grid]\nprior.T = 1\n");
  EXPECT_EQ(plan.value("train.updates"), "9");
  EXPECT_EQ(plan.value("train.batch"), "48");
}

TEST(Plan, PathsOfInputsAreMadeAbsolute) {
  const TempFolder folder;
  const Plan plan = plan_of(folder, "[data]\npath = some/data.h5\n[grid]\nprior.T = 1\n");
  EXPECT_EQ(plan.value("data.path"), (fs::current_path() / "some/data.h5").string());
}

TEST(Plan, WhatCannotBeASweepIsRefusedByFileLineAndKey) {
  const TempFolder folder;
  const std::pair<const char*, const char*> wrong[] = {
      {"[train]\nupdates = 6\n", "no section [grid]"},
      {"[grid]\nvae.width = 8 16\n", "sweep.ini:2: members cannot differ in vae.width"},
      {"[grid]\nrun.seed = 1 2\n", "train.seed"},
      {"[grid]\ncache.draws = 1 2\n", "cache.draws"},
      {"[grid]\nprior.T =\n", "sweep.ini:2: prior.T has no values"},
      {"[grid]\nprior.T = 1 2 1\n", "the value 1 twice"},
      {"[grid]\nsteps = 1 2\n", "'steps' is not an option's whole name"},
      {"[run]\ndirectory = x\n[grid]\nprior.T = 1\n", "run.directory"},
      {"[sweep]\nconfg = x\n[grid]\nprior.T = 1\n", "unknown key sweep.confg"},
      {"[sweep]\nconfig = nowhere.ini\n[grid]\nprior.T = 1\n", "nowhere.ini"},
  };
  for (const auto& [text, words] : wrong) {
    SCOPED_TRACE(text);
    expect_error(ExitCode::kUsage, {words}, [&] { plan_of(folder, text); });
  }
}

TEST(Plan, TenThousandMembersAreTheLimitBeforeAnyIsMade) {
  const TempFolder folder;
  std::string text = "[grid]\n";
  for (const char* key : {"a.a", "a.b", "a.c", "a.d", "a.e", "a.f", "a.g", "a.h"})
    text += std::string(key) + " = 0 1 2 3 4 5 6 7 8 9\n";
  expect_error(ExitCode::kUsage, {"more than 10000 members"}, [&] { plan_of(folder, text); });
}

TEST(Plan, AWrittenPlanReadsBackTheSame) {
  const TempFolder folder;
  const Plan plan = plan_of(
      folder, "[data]\npath = \"a # b\"\n[train]\nupdates = 6\n[grid]\nprior.T = 1 2\nprior.alpha_cum = 0.9,0.5\n");
  const Layout layout(folder / "planned");
  write_plan(layout, plan);
  const Plan back = read_plan(layout);
  EXPECT_EQ(back.common, plan.common);
  EXPECT_EQ(back.members, plan.members);
}

TEST(Plan, AFolderThatIsNoSweepAndADamagedListAreToldApart) {
  const TempFolder folder;
  expect_error(ExitCode::kUsage, {"no planned sweep"}, [&] { read_plan(Layout(folder.path())); });
  const Layout layout(folder / "planned");
  write_plan(layout, plan_of(folder, "[grid]\nprior.T = 1 2\n"));
  put(layout.list(), "0000 prior.T=1\n0002 prior.T=2\n");
  expect_error(ExitCode::kCorrupt, {"members.txt:2: expected member 0001"}, [&] { read_plan(layout); });
  put(layout.list(), "0000 prior.T\n");
  expect_error(ExitCode::kCorrupt, {"not key=value"}, [&] { read_plan(layout); });
}

}  // namespace
}  // namespace hebm::sweep::test
