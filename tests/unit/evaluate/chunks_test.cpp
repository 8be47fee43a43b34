// The one loop over images: which rank makes which chunk, what rank 0 takes, and in which order.
#include "evaluate/chunks.h"
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>
#include <cmath>
#include "../support.h"
#include "base/error.h"
#include "comm/single_communicator.h"

namespace hebm::evaluate {
namespace {

struct Part {
  at::Tensor rows;
  std::vector<at::Tensor> several;
  static void tensors(auto& p, auto& visit) {
    visit(p.rows);
    visit(p.several);
  }
};

// One of two ranks whose other half brings what it is told to.
class TwoRanks : public comm::SingleCommunicator {
 public:
  explicit TwoRanks(int rank) : rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return 2; }
  std::vector<std::string> gather(std::string_view mine) override {
    sent.emplace_back(mine);
    if (rank_ != 0) return {};
    return {std::string(mine), others.at(sent.size() - 1)};
  }
  std::vector<std::string> sent, others;
 private:
  int rank_;
};

struct Taken {
  std::vector<std::int64_t> firsts, counts;
  std::vector<double> sums;
};

Taken run(comm::Communicator& comm) {
  Taken out;
  Logger logger(false);
  for_chunks<Part>(
      {7, 2, "test"}, {comm, logger},
      [](const Chunk& chunk) -> Part {
        EXPECT_EQ(chunk.size, 2);
        const at::Tensor rows = at::full({2, 3}, static_cast<double>(chunk.first), at::kFloat);
        return {chunk.keep(rows), {at::arange(chunk.first, chunk.first + 1), chunk.keep_below(3, rows)}};
      },
      [&](const Chunk& chunk, const Part& part) {
        out.firsts.push_back(chunk.first);
        out.counts.push_back(chunk.count);
        out.sums.push_back(part.rows.sum().item<double>());
        EXPECT_EQ(part.rows.size(0), chunk.count);
        EXPECT_EQ(part.several.at(0).scalar_type(), at::kLong);
        EXPECT_EQ(part.several.at(0).item<std::int64_t>(), chunk.first);
        EXPECT_EQ(part.several.at(1).size(0), chunk.first == 0 ? 2 : chunk.first == 2 ? 1 : 0);
      });
  return out;
}

TEST(ForChunks, TakesAllChunksInOrder) {
  comm::SingleCommunicator comm;
  const Taken taken = run(comm);
  EXPECT_EQ(taken.firsts, (std::vector<std::int64_t>{0, 2, 4, 6}));
  EXPECT_EQ(taken.counts, (std::vector<std::int64_t>{2, 2, 2, 1}));
  EXPECT_EQ(taken.sums, (std::vector<double>{0, 12, 24, 18}));
}

TEST(ForChunks, Rank0TakesTheSameFromTwoRanks) {
  TwoRanks second(1), first(0);
  EXPECT_TRUE(run(second).firsts.empty());
  EXPECT_EQ(second.sent.size(), 2U);
  first.others = second.sent;
  comm::SingleCommunicator alone;
  const Taken taken = run(first), expected = run(alone);
  EXPECT_EQ(taken.firsts, expected.firsts);
  EXPECT_EQ(taken.sums, expected.sums);
}

TEST(ForChunks, WhatAChunkThrowsIsThrown) {
  comm::SingleCommunicator comm;
  Logger logger(false);
  EXPECT_THROW(for_chunks<Part>(
                   {1, 1, "test"}, {comm, logger}, [](const Chunk&) -> Part { fail(ExitCode::kRuntime, "no"); },
                   [](const Chunk&, const Part&) {}),
      Error);
}

TEST(ForChunks, NaNIsNamedWithItsImage) {
  comm::SingleCommunicator comm;
  Logger logger(false);
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    test::expect_error(ExitCode::kDiverged, {"pictures: image 5: number 1 of"}, [&] {
      for_chunks<at::Tensor>(
          {8, 4, "pictures"}, {comm, logger},
          [&](const Chunk& chunk) {
            at::Tensor rows = at::full({4, 3}, 3e38, at::kFloat);  // their sum overflows, and they are finite
            if (chunk.first == 4) rows.mutable_data_ptr<float>()[4] = static_cast<float>(bad);
            return rows;
          },
          [](const Chunk&, const at::Tensor&) {});
    });
  }
}

TEST(Unpacker, BytesThatNoPackerMadeAreRefused) {
  Packer packer;
  packer(std::vector<at::Tensor>{at::arange(6, at::kFloat), at::arange(3, at::kLong)});
  const std::string whole = packer.bytes;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::vector<at::Tensor> got;
    test::expect_error(
        ExitCode::kCorrupt, {"a kept chunk"}, [&] { Unpacker{std::string_view(whole).substr(0, size)}(got); });
  }
  for (std::size_t word = 0; word < 4; ++word) {  // count, type, dimensions, size
    std::string damaged = whole;
    damaged[8 * word + 6] = 1;
    std::vector<at::Tensor> got;
    test::expect_error(ExitCode::kCorrupt, {"a kept chunk"}, [&] { Unpacker{damaged}(got); });
  }
}

TEST(OnEveryRank, KeepsTypeShapeAndValues) {
  comm::SingleCommunicator comm;
  const at::Tensor numbers = at::arange(6, at::kDouble).view({2, 3}).t();
  EXPECT_TRUE(on_every_rank(numbers, comm).equal(numbers));
  EXPECT_EQ(on_every_rank(at::empty({0, 4}, at::kFloat), comm).sizes(), (std::vector<std::int64_t>{0, 4}));
}

}  // namespace
}  // namespace hebm::evaluate
