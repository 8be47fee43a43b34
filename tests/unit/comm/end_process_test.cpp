#include "comm/end_process.h"
#include <gtest/gtest.h>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>
#include "../support.h"
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

TEST(SingleDeathTest, AbortLeavesWithTheCode) {
  EXPECT_EXIT(SingleCommunicator().abort(4), testing::ExitedWithCode(4), "");
}

TEST(SingleDeathTest, AbortLeavesANoteForTheLauncher) {
  const test::TempFolder folder;
  EXPECT_EXIT(
      {
        setenv("HEBM_EXIT_DIR", folder.path().c_str(), 1);
        record_abort(0, 3);  // the first reason stays
        SingleCommunicator().abort(4);
      },
      testing::ExitedWithCode(4), "");
  int code = 0;
  double when_s = 0;
  std::istringstream(std::filesystem::read_symlink(folder / "abort.0").string()) >> code >> when_s;
  EXPECT_EQ(code, 3);
  EXPECT_GT(when_s, 1.7e9);
}

TEST(DeadlineDeathTest, EndsTheProcessNamingTheCall) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        const Deadline deadline("MPI_Nap", 0.05, 3, 6);
        std::this_thread::sleep_for(std::chrono::seconds(20));
      },
      testing::ExitedWithCode(6), "rank 3: MPI_Nap has not returned after 0.1 s");
}

TEST(DeadlineTest, MetInTimeDoesNothing) {
  for (int i = 0; i < 100; ++i) const Deadline deadline("quick", 60, 0, 6);
}

}  // namespace
}  // namespace hebm::comm
