#include "comm/communicator.h"
#include <gtest/gtest.h>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include "../support.h"
#include "../thread_ranks.h"
#include "base/options.h"
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

TEST(Agree, OfOneThrowsItsErrorWithoutARank) {
  SingleCommunicator comm;
  agree(comm, [] {});
  try {
    agree(comm, [] { fail(ExitCode::kCorrupt, "torn"); });
    FAIL();
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::kCorrupt);
    EXPECT_STREQ(error.what(), "torn");
  }
  try {
    agree(comm, [] { throw std::length_error("odd"); });
    FAIL();
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::kRuntime);
    EXPECT_STREQ(error.what(), "odd");
  }
}

TEST(Any, OfOne) {
  SingleCommunicator comm;
  EXPECT_TRUE(any(comm, true));
  EXPECT_FALSE(any(comm, false));
}

TEST(OnRoot, IsDoneOnceAndItsErrorIsEverybodys) {
  std::atomic<int> done = 0;
  for (const std::string& thrown : test::on_ranks(3, [&](Communicator& comm) {
         on_root(comm, [&] { ++done; });
         EXPECT_EQ(done, 1);
       }))
    EXPECT_EQ(thrown, "");
  for (const std::string& thrown :
      test::on_ranks(3, [](Communicator& comm) { on_root(comm, [] { fail(ExitCode::kRuntime, "disk full"); }); }))
    EXPECT_EQ(thrown, "rank 0: disk full");
}

TEST(RootSays, WhatAllGet) {
  for (const bool yes : {false, true}) {
    for (const std::string& thrown : test::on_ranks(
             2, [&](Communicator& comm) { EXPECT_EQ(root_says(comm, [&] { return yes == comm.is_root(); }), yes); }))
      EXPECT_EQ(thrown, "");
  }
}

TEST(Make, WithoutALauncherIsSingle) {
  // The test itself may run in a batch job.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}) {
    unsetenv(name);
  }
  EXPECT_EQ(make_communicator({})->kind(), Kind::kSingle);
  CommOptions of_user;
  Options options("test", "");
  of_user.describe(options);
  test::expect_error(ExitCode::kUsage, {"comm.kind = 'pigeon'", "one of auto, single, mpi, nccl"}, [&] {
    options.parse(std::vector<std::string>{"--comm.kind", "pigeon"});
  });
}

}  // namespace
}  // namespace hebm::comm
