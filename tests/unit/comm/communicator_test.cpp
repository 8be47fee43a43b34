#include "comm/communicator.h"
#include <gtest/gtest.h>
#include <cstdlib>
#include <stdexcept>
#include "../support.h"
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
