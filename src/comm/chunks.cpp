#include "comm/chunks.h"
#include <fmt/format.h>
#include <array>
#include "base/progress.h"

namespace hebm::comm {
namespace {

// Rank 0 takes what it has kept, up to the first chunk that is not there. Their number, on every
// rank.
std::int64_t take_kept(const Items& items, const Crew& crew, const TakeChunk& take) {
  std::array<std::int64_t, 1> number = {0};
  on_root(crew.comm, [&] {
    if (crew.kept == nullptr) return;
    crew.kept->begin(fmt::format("{}: {} in chunks of {}", items.what, items.count, items.chunk));
    for (; number[0] < items.num_chunks(); ++number[0]) {
      const auto bytes = crew.kept->find(number[0]);
      if (!bytes) break;
      take(items.at(number[0]), *bytes);
    }
  });
  crew.comm.all_reduce(number, Op::kMax);
  return number[0];
}

// The chunk of this rank; false where make() gave it up for a stop.
bool make_or_stop(const MakeChunk& make, const Chunk& chunk, std::string& made) {
  try {
    made = make(chunk);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kRequeue) throw;
    return false;
  }
  return true;
}

[[noreturn]] void leave(const Items& items, const Crew& crew, std::int64_t done) {
  on_root(crew.comm, [&] {
    if (crew.kept != nullptr) crew.kept->sync();
  });
  throw AgreedError(ExitCode::kRequeue,
      fmt::format("asked to stop at {} of {} chunks of '{}'; the same command goes on{}", done, items.num_chunks(),
          items.what, any(crew.comm, crew.kept != nullptr) ? " from there" : ", from the start"));
}

}  // namespace

void share_chunks(const Items& items, const Crew& crew, const MakeChunk& make, const TakeChunk& take) {
  Communicator& comm = crew.comm;
  const std::int64_t num_chunks = items.num_chunks();
  std::int64_t done = take_kept(items, crew, take);
  StatusLine status(crew.logger, items.what, items.count, std::min(items.count, done * items.chunk));
  Phase phase(items.what);
  bool stopping = false;
  while (done < num_chunks) {
    phase.next(fmt::format("{}, chunk {} of {}", items.what, done, num_chunks));
    const Timer timer;
    if (any(comm, stopping || (crew.stop != nullptr && crew.stop->requested()))) leave(items, crew, done);
    const std::int64_t mine = done + comm.rank();
    std::string made;
    agree(comm, [&] { stopping = mine < num_chunks && !make_or_stop(make, items.at(mine), made); });
    // Chunks from the first on that are whole: those of the ranks before one that stopped.
    std::array<std::int64_t, 1> whole = {
        stopping ? comm.rank() : std::min<std::int64_t>(comm.size(), num_chunks - done)};
    comm.all_reduce(whole, Op::kMin);
    const auto parts = comm.gather(made);
    on_root(comm, [&] {
      for (std::int64_t r = 0; r < whole[0]; ++r) {
        const std::string& part = parts[static_cast<std::size_t>(r)];
        if (crew.kept != nullptr) crew.kept->keep(done + r, part, timer.seconds() / static_cast<double>(whole[0]));
        take(items.at(done + r), part);
      }
    });
    done += whole[0];
    status.update(std::min(items.count, done * items.chunk));
  }
  status.finish();
}

}  // namespace hebm::comm
