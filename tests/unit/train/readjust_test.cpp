#include "train/readjust.h"
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include "../thread_ranks.h"
#include "comm/single_communicator.h"
#include "support.h"

namespace hebm::train {
namespace {

using test::on_ranks;

at::Tensor forward(std::int64_t number) { return at::full({3}, static_cast<double>(number), at::kFloat); }

TEST(RunningStatistics, TheSameBitsOnAnyNumberOfRanks) {
  comm::SingleCommunicator single;
  Logger logger{false};
  const at::Tensor start = at::full({3}, 10.0, at::kFloat);
  const at::Tensor alone = running_statistics(start, 5, forward, single, logger);
  float expected = 10.0F;
  for (int n = 0; n < 5; ++n) expected = 0.95F * expected + 0.05F * static_cast<float>(n);
  EXPECT_NEAR(alone[2].item<float>(), expected, 1e-5);
  EXPECT_EQ(start[0].item<float>(), 10.0F);
  for (const std::string& thrown : on_ranks(2, [&](comm::Communicator& comm) {
         Logger quiet{false};
         EXPECT_TRUE(running_statistics(start, 5, forward, comm, quiet).equal(alone));
       }))
    EXPECT_EQ(thrown, "");
}

TEST(RunningStatistics, WhatOneRankThrowsAllThrow) {
  const auto thrown = on_ranks(2, [](comm::Communicator& comm) {
    Logger quiet{false};
    const auto fails = [](std::int64_t number) {
      check(number != 3, ExitCode::kRuntime, "forward 3 fails");  // of rank 1
      return forward(number);
    };
    running_statistics(at::zeros({3}, at::kFloat), 5, fails, comm, quiet);
  });
  EXPECT_EQ(thrown[0], "rank 1: forward 3 fails");
  EXPECT_EQ(thrown[1], thrown[0]);
}

}  // namespace
}  // namespace hebm::train
