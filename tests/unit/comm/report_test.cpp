#include "comm/report.h"
#include <gtest/gtest.h>
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

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
