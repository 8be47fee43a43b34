// The rule that gives ranks their GPUs; no GPU is needed for it.
#include "comm/gpus.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "../support.h"
#include "comm/placement.h"
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

using testing::HasSubstr;

TEST(Gpus, EveryRankTakesThatOfItsLocalNumber) {
  for (const char* device : {"auto", "cuda"}) {
    for (int local = 0; local < 8; ++local) EXPECT_EQ(gpu_of_rank(device, local, 8, true, "host"), local);
    EXPECT_EQ(gpu_of_rank(device, 3, 1, true, "host"), 0) << "a launcher that shows each rank its own GPU alone";
  }
}

TEST(Gpus, AutoTakesThemEverywhereOrNowhere) {
  EXPECT_EQ(gpu_of_rank("auto", 0, 4, false, "host"), -1);
  EXPECT_EQ(gpu_of_rank("auto", 0, 0, false, "host"), -1);
  EXPECT_EQ(gpu_of_rank("cpu", 0, 4, true, "host"), -1);
}

TEST(Gpus, CudaWithoutAGpuSaysWhereAndWhatToDo) {
  test::expect_error(ExitCode::kEnvironment,
      {"compute.device = cuda, but no GPU is seen on node7", "--compute.device cpu"},
      [] { gpu_of_rank("cuda", 0, 0, false, "node7"); });
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
  options.kind = "nccl";
  options.device = "cpu";
  EXPECT_THROW(make_communicator(options), Error);
}

// Two ranks of one machine, as all_gather would show them.
class TwoRanks final : public Communicator {
 public:
  explicit TwoRanks(std::string other) : other_(std::move(other)) {}
  int rank() const override { return 0; }
  int size() const override { return 2; }
  std::string_view kind() const override { return "test"; }
  int node() const override { return 0; }
  void all_reduce(std::span<float>, Op) override {}
  void all_reduce(std::span<double>, Op) override {}
  void all_reduce(std::span<std::int64_t>, Op) override {}
  std::unique_ptr<Pending> start_sum(std::span<float>, std::string_view) override { return nullptr; }
  std::unique_ptr<Pending> start_sum(std::span<std::int64_t>, std::string_view) override { return nullptr; }
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
