#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "comm/communicator.h"
#include "comm/end_process.h"
#include "comm/placement.h"
#include "comm/report.h"
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Single, EveryOperationIsTheIdentity) {
  SingleCommunicator comm;
  EXPECT_EQ(comm.rank(), 0);
  EXPECT_EQ(comm.size(), 1);
  EXPECT_EQ(comm.node(), 0);
  EXPECT_EQ(comm.kind(), "single");
  EXPECT_TRUE(comm.is_root());
  std::array<float, 2> f = {1.5F, -2};
  std::array<double, 2> d = {1.5, -2};
  std::array<std::int64_t, 2> i = {7, -9};
  for (const Op op : {Op::kSum, Op::kMin, Op::kMax}) {
    comm.all_reduce(f, op);
    comm.all_reduce(d, op);
    comm.all_reduce(i, op);
  }
  comm.start_sum(f, "f")->wait();
  const auto pending = comm.start_sum(i, "i");
  pending->wait();
  pending->wait();
  EXPECT_THAT(f, ElementsAre(1.5F, -2.0F));
  EXPECT_THAT(d, ElementsAre(1.5, -2.0));
  EXPECT_THAT(i, ElementsAre(7, -9));
  std::array<std::byte, 1> byte = {std::byte{5}};
  comm.broadcast(byte, 0);
  EXPECT_EQ(byte[0], std::byte{5});
  EXPECT_THAT(comm.all_gather("mine"), ElementsAre("mine"));
  EXPECT_THAT(comm.gather("mine"), ElementsAre("mine"));
  comm.barrier();
}

TEST(SingleDeathTest, AbortLeavesWithTheCode) {
  EXPECT_EXIT(SingleCommunicator().abort(4), testing::ExitedWithCode(4), "");
}

TEST(SingleDeathTest, AbortLeavesANoteForTheLauncher) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / ("hebm-abort-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  EXPECT_EXIT(
      {
        setenv("HEBM_EXIT_DIR", folder.c_str(), 1);
        record_abort(0, 3);  // the first reason stays
        SingleCommunicator().abort(4);
      },
      testing::ExitedWithCode(4), "");
  int code = 0;
  double when_s = 0;
  std::ifstream(folder / "abort.0") >> code >> when_s;
  EXPECT_EQ(code, 3);
  EXPECT_GT(when_s, 1.7e9);
  std::filesystem::remove_all(folder);
}

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
  EXPECT_EQ(make_communicator({})->kind(), "single");
  CommOptions options;
  options.kind = "pigeon";
  EXPECT_THROW(make_communicator(options), Error);
}

TEST(Place, OfOneUsesItsWholeMask) {
  SingleCommunicator comm;
  const Placement placement = place(comm, {});
  EXPECT_FALSE(placement.host.empty());
  EXPECT_EQ(placement.local_size, 1);
  EXPECT_EQ(placement.local_rank, 0);
  EXPECT_TRUE(placement.masks_disjoint);
  EXPECT_GE(placement.threads, 1);
  EXPECT_LE(placement.threads, std::ssize(placement.cpus));
  EXPECT_THAT(placement.describe(), HasSubstr(placement.host + ": local rank 0 of 1"));
  CommOptions options;
  options.threads = 5;
  EXPECT_EQ(place(comm, options).threads, 5);
}

// Cpu numbers beyond this machine's have no topology files, so each counts as a core.
constexpr int kFar = 100000;

TEST(ShareThreads, DisjointMasksKeepTheirOwn) {
  bool disjoint = false;
  const std::vector<std::vector<int>> masks = {{kFar, kFar + 1, kFar + 2}, {kFar + 3}};
  EXPECT_EQ(share_threads(masks, 0, &disjoint), 3);
  EXPECT_TRUE(disjoint);
  EXPECT_EQ(share_threads(masks, 1, &disjoint), 1);
}

TEST(ShareThreads, OverlappingMasksShareTheUnion) {
  bool disjoint = true;
  // 4 cores together, 2 ranks.
  EXPECT_EQ(share_threads({{kFar, kFar + 1, kFar + 2}, {kFar + 2, kFar + 3}}, 0, &disjoint), 2);
  EXPECT_FALSE(disjoint);
  // 2 cores, 3 ranks: one thread at least.
  EXPECT_EQ(share_threads({{kFar, kFar + 1}, {kFar, kFar + 1}, {kFar, kFar + 1}}, 2, &disjoint), 1);
}

TEST(PlacementText, CompressesRangesAndSaysWhatIsShared) {
  Placement placement;
  placement.host = "node7";
  placement.local_rank = 1;
  placement.local_size = 2;
  placement.threads = 3;
  placement.cpus = {0, 1, 2, 5, 8, 9};
  EXPECT_EQ(placement.describe(), "node7: local rank 1 of 2, 3 threads on cpu 0-2,5,8-9");
  placement.masks_disjoint = false;
  EXPECT_THAT(placement.describe(), HasSubstr("shared with other ranks"));
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

TEST(Report, SingleSumsAreRightAndVersionsNamed) {
  SingleCommunicator comm;
  const auto rates = all_reduce_check(comm, {4, 4096});
  ASSERT_EQ(rates.size(), 2);
  EXPECT_EQ(rates[1].bytes, 4096);
  EXPECT_EQ(rates[1].busbw_gb_s, 0) << "nothing crosses a link";
  const auto all = versions();
  ASSERT_GE(all.size(), 2);
  EXPECT_EQ(all[0].first, "mpi_header");
  EXPECT_FALSE(all[1].second.empty());
}

}  // namespace
}  // namespace hebm::comm
