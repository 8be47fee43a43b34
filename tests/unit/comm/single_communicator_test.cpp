#include "comm/single_communicator.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <array>

namespace hebm::comm {
namespace {

using testing::ElementsAre;

TEST(Single, EveryOperationIsTheIdentity) {
  SingleCommunicator comm;
  EXPECT_EQ(comm.rank(), 0);
  EXPECT_EQ(comm.size(), 1);
  EXPECT_EQ(comm.node(), 0);
  EXPECT_EQ(comm.kind(), Kind::kSingle);
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

}  // namespace
}  // namespace hebm::comm
