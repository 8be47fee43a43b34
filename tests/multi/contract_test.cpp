// The contract of communicator.h on real ranks (2 and 4, by launch/mpirun), with MPI, and NCCL
// where there is a GPU a rank. Values depend on the rank, so that a world of one rank, or a sum
// that forgets a rank, cannot pass.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <thread>
#include "comm/mpi_communicator.h"
#include "comm/nccl_communicator.h"
#include "comm/placement.h"
#include "comm/report.h"
#include "multi/gradient_buffer.h"
#include "multi/world.h"

namespace hebm::comm {

// Pieces of 1000 elements, so that short spans go the way of spans beyond INT_MAX.
constexpr std::int64_t kPiece = 1000;

std::unique_ptr<Communicator> make_world(const CommOptions& options) {
  auto mpi = std::make_unique<MpiCommunicator>(
      options, LaunchEnvironment::read([](const char* name) { return std::getenv(name); }), kPiece);
  if (options.kind != Kind::kNccl) return mpi;
#ifdef HEBM_CUDA
  if (!any(*mpi, num_gpus() == 0)) return std::make_unique<NcclCommunicator>(std::move(mpi));
#endif
  return nullptr;
}

namespace {

std::int64_t ranks() { return world().size(); }
// 1 + 2 + ... + N: what rank-dependent values r + 1 sum to.
std::int64_t triangle() { return ranks() * (ranks() + 1) / 2; }

template <class T> class AllReduce : public testing::Test {};
using Types = testing::Types<float, double, std::int64_t>;
TYPED_TEST_SUITE(AllReduce, Types);

TYPED_TEST(AllReduce, SumMinMaxOfRankDependentValuesInSeveralPieces) {
  const std::size_t count = 2 * kPiece + 17;
  const auto mine = [&](std::size_t i) { return static_cast<TypeParam>((world().rank() + 1) * (1 + i % 7)); };
  const auto fill = [&](std::vector<TypeParam>& v) {
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = mine(i);
  };
  std::vector<TypeParam> sum(count), low(count), high(count);
  fill(sum);
  fill(low);
  fill(high);
  world().all_reduce(std::span(sum), Op::kSum);
  world().all_reduce(std::span(low), Op::kMin);
  world().all_reduce(std::span(high), Op::kMax);
  for (std::size_t i = 0; i < count; ++i) {
    const auto factor = static_cast<std::int64_t>(1 + i % 7);  // all sums are exact in float
    ASSERT_EQ(sum[i], static_cast<TypeParam>(triangle() * factor)) << i;
    ASSERT_EQ(low[i], static_cast<TypeParam>(factor)) << i;
    ASSERT_EQ(high[i], static_cast<TypeParam>(ranks() * factor)) << i;
  }
}

TYPED_TEST(AllReduce, OfNothingIsNothing) {
  std::vector<TypeParam> nothing;
  world().all_reduce(std::span(nothing), Op::kSum);
}

TEST(AllReduceInt64, KeepsAllBits) {
  // 2^62 / N is beyond the 53 bits of a double.
  const std::int64_t large = (std::int64_t{1} << 62) / ranks() + 1;
  std::vector<std::int64_t> value = {large, -large};
  world().all_reduce(std::span(value), Op::kSum);
  EXPECT_EQ(value[0], large * ranks());
  EXPECT_EQ(value[1], -large * ranks());
}

TEST(StartSum, SeveralInFlightMayBeWaitedForInAnyOrder) {
  constexpr std::size_t kSums = 6;
  std::vector<std::unique_ptr<GradientBuffer<float>>> buffers;
  std::vector<std::unique_ptr<Pending>> pending;
  for (std::size_t s = 0; s < kSums; ++s) {
    buffers.push_back(std::make_unique<GradientBuffer<float>>(
        world().kind(), s == 0 ? 3 * kPiece + 1 : 100 * s, static_cast<float>((world().rank() + 1) * (s + 1))));
    pending.push_back(world().start_sum(buffers[s]->span(), "layer " + std::to_string(s)));
  }
  // Each rank in an order of its own: no rank may need another to wait for the same sum.
  std::vector<std::size_t> order(kSums);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::rotate(order.begin(), order.begin() + world().rank() % static_cast<int>(kSums), order.end());
  if (world().rank() % 2 == 1) std::reverse(order.begin(), order.end());
  for (const std::size_t s : order) {
    pending[s]->wait();
    const auto expected = static_cast<float>(triangle() * static_cast<std::int64_t>(s + 1));
    EXPECT_THAT(buffers[s]->values(), testing::Each(expected)) << "sum " << s;
    pending[s]->wait();  // harmless
    EXPECT_THAT(buffers[s]->values(), testing::Each(expected)) << "waited twice for sum " << s;
  }
}

TEST(StartSum, MayBeInFlightDuringControlCollectives) {
  GradientBuffer<std::int64_t> buffer(world().kind(), 10, world().rank() + 1);
  const auto pending = world().start_sum(buffer.span(), "under way");
  EXPECT_TRUE(any(world(), world().rank() == world().size() - 1));
  pending->wait();
  EXPECT_THAT(buffer.values(), testing::Each(triangle()));
}

TEST(StartSum, OfNothingIsDone) {
  std::vector<float> nothing;
  world().start_sum(std::span(nothing), "nothing")->wait();
}

TEST(Broadcast, FromEachRoot) {
  for (int root = 0; root < world().size(); ++root) {
    std::vector<std::byte> bytes(2 * kPiece + 3, static_cast<std::byte>(world().rank() + 1));
    world().broadcast(bytes, root);
    EXPECT_THAT(bytes, testing::Each(static_cast<std::byte>(root + 1))) << "root " << root;
  }
}

TEST(Broadcast, RootOutsideTheWorldIsRefused) {
  std::vector<std::byte> bytes(1);
  EXPECT_THROW(world().broadcast(bytes, world().size()), Error);
  EXPECT_THROW(world().broadcast(bytes, -1), Error);
}

TEST(AllGather, TextsOfDifferentLengthsAndNone) {
  // Rank 1 brings nothing, the others r * 1000 + 3 letters.
  const auto text = [](int r) {
    return r == 1 ? std::string() : std::string(r * 1000 + 3, static_cast<char>('a' + r));
  };
  const std::vector<std::string> all = world().all_gather(text(world().rank()));
  ASSERT_EQ(std::ssize(all), ranks());
  for (int r = 0; r < world().size(); ++r) EXPECT_EQ(all[static_cast<std::size_t>(r)], text(r)) << r;
  for (const std::string& nothing : world().all_gather("")) EXPECT_EQ(nothing, "");
}

TEST(AllGather, KeepsZeroBytes) {
  const std::string mine("\0x\0", 3);
  for (const std::string& text : world().all_gather(mine)) EXPECT_EQ(text, mine);
}

TEST(Gather, OnlyRank0GetsTheTexts) {
  const std::vector<std::string> texts = world().gather(std::string(world().rank() * 10, 'x'));
  ASSERT_EQ(std::ssize(texts), world().is_root() ? ranks() : 0);
  for (std::size_t r = 0; r < texts.size(); ++r) EXPECT_EQ(texts[r], std::string(r * 10, 'x')) << r;
}

TEST(Barrier, NobodyLeavesBeforeTheLastHasCome) {
  // The last rank comes 0.2 s late; all must have waited for it.
  world().barrier();
  const auto start = std::chrono::steady_clock::now();
  if (world().rank() == world().size() - 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  world().barrier();
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(190));
}

TEST(Agree, NobodyFails) {
  int ran = 0;
  agree(world(), [&] { ++ran; });
  EXPECT_EQ(ran, 1);
}

TEST(Agree, OneRankFailsAndAllThrowItsError) {
  if (world().size() == 1) GTEST_SKIP() << "wants two ranks";
  const int last = world().size() - 1;
  try {
    agree(world(), [&] {
      if (world().rank() == last) fail(ExitCode::kCorrupt, "shard {} is torn", 7);
    });
    FAIL() << "nothing thrown on rank " << world().rank();
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::kCorrupt);
    EXPECT_EQ(std::string(error.what()), "rank " + std::to_string(last) + ": shard 7 is torn");
  }
  EXPECT_FALSE(any(world(), false)) << "the world still works";
}

TEST(Agree, TheLowestFailingRankSpeaks) {
  if (world().size() == 1) GTEST_SKIP() << "wants two ranks";
  try {
    agree(world(), [&] {
      if (world().rank() == 0) return;
      if (world().rank() == 1) throw std::runtime_error("from one");  // not an Error: kRuntime
      fail(ExitCode::kDiverged, "from {}", world().rank());
    });
    FAIL() << "nothing thrown on rank " << world().rank();
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::kRuntime);
    EXPECT_STREQ(error.what(), "rank 1: from one");
  }
}

TEST(Any, TrueOnAllWhenTrueOnOne) {
  EXPECT_FALSE(any(world(), false));
  EXPECT_TRUE(any(world(), true));
  for (int r = 0; r < world().size(); ++r) EXPECT_TRUE(any(world(), world().rank() == r));
}

TEST(Thread, ACollectiveFromAnotherThreadIsRefused) {
  if (world().kind() != Kind::kMpi) GTEST_SKIP() << "NCCL does not mind";
  std::string message;
  std::thread([&] {
    try {
      std::vector<float> values(1);
      world().start_sum(std::span(values), "elsewhere");
    } catch (const Error& error) {
      message = error.what();
    }
  }).join();
  EXPECT_THAT(message, testing::HasSubstr("thread"));
}

TEST(World, ThereIsOnlyOne) { EXPECT_THROW(make_world({}), Error); }

TEST(Node, AllRanksOfThisMachineHaveTheSame) {
  // These tests run on one machine.
  EXPECT_EQ(world().node(), 0);
}

TEST(Place, RanksOfOneMachineGetDistinctPlacesAndShareItsCores) {
  const Placement place = comm::place(world(), {});
  EXPECT_EQ(place.local_size, world().size());
  EXPECT_EQ(place.local_rank, world().rank());
  EXPECT_GE(place.threads, 1);
  std::vector<std::int64_t> threads = {place.threads};
  world().all_reduce(std::span(threads), Op::kSum);
  EXPECT_LE(threads[0], std::max<std::int64_t>(std::thread::hardware_concurrency(), ranks()));
  CommOptions given;
  given.threads = 3;
  EXPECT_EQ(comm::place(world(), given).threads, 3);
}

TEST(Report, SumsAreRightAndRatesArePositive) {
  for (const AllReduceRate& rate : all_reduce_check(world(), {4, 1 << 16})) {
    EXPECT_GT(rate.algbw_gb_s, 0);
    const double n = static_cast<double>(ranks());
    EXPECT_DOUBLE_EQ(rate.busbw_gb_s, rate.algbw_gb_s * 2 * (n - 1) / n);
  }
}

}  // namespace
}  // namespace hebm::comm
