// The one loop over chunks and ranks: a stop keeps whole chunks, and a later start on any number of
// ranks goes on from them to the same numbers.
#include "comm/chunks.h"
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <csignal>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>
#include "../support.h"
#include "../thread_ranks.h"
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

class Memory : public KeptChunks {
 public:
  void begin(const std::string& pass) override { pass_ = pass; }
  std::optional<std::string> find(std::int64_t number) override {
    const auto found = chunks.find({pass_, number});
    return found == chunks.end() ? std::nullopt : std::optional(found->second);
  }
  void keep(std::int64_t number, std::string_view bytes, double) override { chunks[{pass_, number}] = bytes; }
  void sync() override { ++syncs; }
  std::map<std::pair<std::string, std::int64_t>, std::string> chunks;
  int syncs = 0;
 private:
  std::string pass_;
};

// 7 chunks: 20 items of 3 each.
const Items kItems{20, 3, "numbers"};

struct Start {
  std::set<std::int64_t> made;      // first items of the chunks that were made
  std::vector<std::string> taken;   // in their order
  std::vector<std::string> thrown;  // by rank
};

// A start on so many ranks. at(first item): within a chunk, before it is whole.
Start start(
    int ranks, Memory& memory, const StopFlag* stop = nullptr,
    const std::function<void(std::int64_t)>& at = [](std::int64_t) {}) {
  Start out;
  std::mutex mutex;
  out.thrown = test::on_ranks(ranks, [&](Communicator& comm) {
    Logger quiet(false);
    share_chunks(
        kItems, {comm, quiet, comm.is_root() ? &memory : nullptr, stop},
        [&](const Chunk& chunk) {
          at(chunk.first);
          const std::scoped_lock lock(mutex);
          out.made.insert(chunk.first);
          return fmt::format("{}+{}", chunk.first, chunk.count);
        },
        [&](const Chunk& chunk, std::string_view bytes) {
          EXPECT_EQ(bytes, fmt::format("{}+{}", chunk.first, chunk.count));
          out.taken.emplace_back(bytes);
        });
  });
  return out;
}

const std::vector<std::string> kAll = {"0+3", "3+3", "6+3", "9+3", "12+3", "15+3", "18+2"};

TEST(ShareChunks, AStopIsAnsweredByAllAndALaterStartGoesOnOnAnyNumberOfRanks) {
  for (const int before : {1, 2, 3}) {
    for (const int after : {1, 2, 3, 4}) {
      Memory memory;
      {
        const StopFlag flag;
        const Start stopped = start(before, memory, &flag, [](std::int64_t first) {
          if (first == 0) std::raise(SIGUSR1);
        });
        for (const std::string& why : stopped.thrown)
          EXPECT_NE(why.find("asked to stop at"), std::string::npos) << before << " ranks: " << why;
        EXPECT_EQ(std::ssize(stopped.made), before) << "one round of the ranks";
        EXPECT_EQ(std::ssize(stopped.taken), before);
      }
      EXPECT_EQ(std::ssize(memory.chunks), before);
      EXPECT_EQ(memory.syncs, 1);
      const Start resumed = start(after, memory);
      EXPECT_EQ(resumed.thrown, std::vector<std::string>(static_cast<std::size_t>(after)));
      EXPECT_EQ(resumed.taken, kAll);
      EXPECT_EQ(std::ssize(resumed.made), 7 - before);
      EXPECT_FALSE(resumed.made.contains(0));
    }
  }
}

// A rank that looks at the flag within its chunk: chunks in front of it are kept, it is made again.
TEST(ShareChunks, AChunkThatIsGivenUpIsMadeAgain) {
  for (const int ranks : {1, 2, 3}) {
    Memory memory;
    const Start stopped = start(ranks, memory, nullptr, [](std::int64_t first) {
      if (first == 6) fail(ExitCode::kRequeue, "within a chunk");
    });
    for (const std::string& why : stopped.thrown)
      EXPECT_NE(why.find("asked to stop at 2 of 7 chunks of 'numbers'"), std::string::npos) << why;
    EXPECT_EQ(stopped.taken, (std::vector<std::string>{"0+3", "3+3"})) << ranks;
    EXPECT_EQ(memory.chunks.size(), 2U);
    const Start resumed = start(2, memory);
    EXPECT_EQ(resumed.taken, kAll);
    EXPECT_EQ(resumed.made.size(), 5U);
  }
}

TEST(ShareChunks, TheStopsExitCodeWantsToBeRunAgain) {
  SingleCommunicator comm;
  Logger quiet(false);
  const StopFlag flag;
  std::raise(SIGTERM);
  test::expect_error(ExitCode::kRequeue, {"0 of 7", "from the start"}, [&] {
    share_chunks(
        kItems, {comm, quiet, nullptr, &flag}, [](const Chunk&) { return std::string(); },
        [](const Chunk&, std::string_view) {});
  });
}

// Work that is whole needs no more chunks: the command goes on to its end.
TEST(ShareChunks, AStopInTheLastRoundStopsNothing) {
  Memory memory;
  const StopFlag flag;
  const Start ended = start(1, memory, &flag, [](std::int64_t first) {
    if (first == 18) std::raise(SIGUSR1);
  });
  EXPECT_EQ(ended.thrown, std::vector<std::string>{""});
  EXPECT_EQ(ended.taken, kAll);
}

// One rank's NaN, a missing file: all ranks end with it, and what was whole is kept.
TEST(ShareChunks, AnErrorOfOneRankIsThatOfAll) {
  Memory memory;
  const Start failed = start(3, memory, nullptr, [](std::int64_t first) {
    if (first == 12) fail(ExitCode::kDiverged, "the chain of t = 1 diverged");
  });
  for (const std::string& why : failed.thrown) EXPECT_EQ(why, "rank 1: the chain of t = 1 diverged");
  EXPECT_EQ(memory.chunks.size(), 3U);
}

}  // namespace
}  // namespace hebm::comm
