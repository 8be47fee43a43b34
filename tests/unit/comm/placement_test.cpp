#include "comm/placement.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>
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

}  // namespace
}  // namespace hebm::comm
