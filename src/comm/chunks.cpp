#include "comm/chunks.h"
#include "base/progress.h"

namespace hebm::comm {

bool share_chunks(const Items& items, Communicator& comm, Logger& logger,
    const std::function<std::string(const Chunk&)>& make,
    const std::function<void(const Chunk&, std::string_view)>& take, const std::function<bool()>& stop) {
  const auto chunk_at = [&](std::int64_t number) {
    const std::int64_t first = number * items.chunk;
    return Chunk{first, items.chunk, std::min(items.chunk, items.count - first)};
  };
  const std::int64_t num_chunks = (items.count + items.chunk - 1) / items.chunk, ranks = comm.size();
  StatusLine status(logger, items.what, items.count);
  Phase phase(items.what);
  for (std::int64_t done = 0; done < num_chunks; done += ranks) {
    phase.next(fmt::format("{}, chunk {} of {}", items.what, done, num_chunks));
    std::string mine;
    agree(comm, [&] {
      if (done + comm.rank() < num_chunks) mine = make(chunk_at(done + comm.rank()));
    });
    const auto parts = comm.gather(mine);
    agree(comm, [&] {
      for (std::int64_t r = 0; r < std::min(std::ssize(parts), num_chunks - done); ++r)
        take(chunk_at(done + r), parts[static_cast<std::size_t>(r)]);
    });
    status.update(std::min(items.count, (done + ranks) * items.chunk));
    if (stop && any(comm, stop())) return false;
  }
  status.finish();
  return true;
}

}  // namespace hebm::comm
