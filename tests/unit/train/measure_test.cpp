#include "train/measure.h"
#include <numeric>
#include "../thread_ranks.h"
#include "base/status.h"
#include "comm/single_communicator.h"
#include "support.h"

namespace hebm::train {
namespace {

using test::on_ranks;

std::vector<std::int64_t> images() {
  std::vector<std::int64_t> out(350);
  std::iota(out.begin(), out.end(), 1000);
  return out;
}

// Two rows a chunk: a sum of the real images, and how many there are.
std::vector<double> measure(const std::vector<std::int64_t>& chunk, std::int64_t real) {
  EXPECT_EQ(chunk.size(), 100U);
  EXPECT_EQ(chunk.back(), chunk[static_cast<std::size_t>(real - 1)]);
  return {std::accumulate(chunk.begin(), chunk.begin() + real, 0.0) / 3.0, static_cast<double>(real)};
}

TEST(MeasureChunks, TheSameRowsOnAnyNumberOfRanks) {
  comm::SingleCommunicator single;
  Logger logger{false};
  const auto alone = measure_chunks(images(), 320, 2, single, logger, measure);
  ASSERT_EQ(alone.size(), 8U);
  EXPECT_EQ(alone[7], 20.0);
  for (const std::string& thrown : on_ranks(3, [&](comm::Communicator& comm) {
         Logger quiet{false};
         EXPECT_EQ(measure_chunks(images(), 320, 2, comm, quiet, measure), alone);
       }))
    EXPECT_EQ(thrown, "");
}

TEST(MeasureChunks, WhatOneRankThrowsAllThrow) {
  const auto thrown = on_ranks(2, [](comm::Communicator& comm) {
    Logger quiet{false};
    measure_chunks(images(), 350, 2, comm, quiet, [](const auto& chunk, std::int64_t real) {
      check(chunk[0] != 1100, ExitCode::kCorrupt, "image 1100 cannot be read");  // of rank 1
      return measure(chunk, real);
    });
  });
  EXPECT_EQ(thrown[0], "rank 1: image 1100 cannot be read");
  EXPECT_EQ(thrown[1], thrown[0]);
}

}  // namespace
}  // namespace hebm::train
