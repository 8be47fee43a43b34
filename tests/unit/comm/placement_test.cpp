#include "comm/placement.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>
#include "../support.h"
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

using testing::HasSubstr;

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

// The rule that gives ranks their GPUs; no GPU is needed for it.
TEST(Gpus, EveryRankTakesThatOfItsLocalNumber) {
  for (const Device device : {Device::kAuto, Device::kCuda}) {
    for (int local = 0; local < 8; ++local) EXPECT_EQ(gpu_of_rank(device, local, 8, true, "host"), local);
    EXPECT_EQ(gpu_of_rank(device, 3, 1, true, "host"), 0) << "a launcher that shows each rank its own GPU alone";
  }
}

TEST(Gpus, AutoTakesThemEverywhereOrNowhere) {
  EXPECT_EQ(gpu_of_rank(Device::kAuto, 0, 4, false, "host"), -1);
  EXPECT_EQ(gpu_of_rank(Device::kAuto, 0, 0, false, "host"), -1);
  EXPECT_EQ(gpu_of_rank(Device::kCpu, 0, 4, true, "host"), -1);
}

TEST(Gpus, CudaWithoutAGpuSaysWhereAndWhatToDo) {
  test::expect_error(ExitCode::kEnvironment,
      {"compute.device = cuda, but no GPU is seen on node7", "--compute.device cpu"},
      [] { gpu_of_rank(Device::kCuda, 0, 0, false, "node7"); });
}

TEST(Gpus, PlacementSaysWhatComputes) {
  Placement placement;
  placement.host = "node7";
  EXPECT_THAT(placement.describe(), testing::Not(HasSubstr("GPU")));
  placement.gpu = 2;
  EXPECT_THAT(placement.describe(), HasSubstr("computes on GPU 2"));
}

TEST(Gpus, NcclWithoutThemIsRefused) {
  CommOptions options;
  options.kind = Kind::kNccl;
  options.device = Device::kCpu;
  EXPECT_THROW(make_communicator(options), Error);
}

// Two ranks of one machine, as all_gather would show them.
class TwoRanks final : public Communicator {
 public:
  explicit TwoRanks(std::string other) : other_(std::move(other)) {}
  int rank() const override { return 0; }
  int size() const override { return 2; }
  Kind kind() const override { return Kind::kMpi; }
  int node() const override { return 0; }
  void all_reduce(Values, Op) override {}
  std::unique_ptr<Pending> start_sum(Values, std::string_view) override { return nullptr; }
  void broadcast(std::span<std::byte>, int) override {}
  std::vector<std::string> all_gather(std::string_view mine) override { return {std::string(mine), other_}; }
  void barrier() override {}
  [[noreturn]] void abort(int) override { throw Error(ExitCode::kRuntime, "abort"); }
 private:
  std::string other_;
};

TEST(Gpus, OneForTwoRanksIsRefused) {
  TwoRanks same("node 0 0000:3B:00.0"), apart("node 0 0000:AF:00.0"), elsewhere("node 1 0000:3B:00.0"), none("");
  EXPECT_THROW(check_gpus_apart(same, "0000:3B:00.0"), Error);
  EXPECT_NO_THROW(check_gpus_apart(apart, "0000:3B:00.0"));
  EXPECT_NO_THROW(check_gpus_apart(elsewhere, "0000:3B:00.0"));
  EXPECT_NO_THROW(check_gpus_apart(none, ""));
}

}  // namespace
}  // namespace hebm::comm
