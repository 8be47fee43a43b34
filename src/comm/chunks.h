// The one loop over items: fixed chunks, shared by the ranks; rank 0 takes what they make. Chunks
// that an earlier start kept are not made again, and a stop is answered between chunks.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include "base/kept_chunks.h"
#include "base/signals.h"
#include "base/status.h"
#include "comm/communicator.h"

namespace hebm::comm {

struct Chunk {
  std::int64_t first;  // number of its first item
  std::int64_t size;   // items that are made: the same in every chunk, for bits depend on shapes
  std::int64_t count;  // of them, those that are asked for
  // Rows of a tensor, one an item: those that are asked for.
  auto keep(const auto& rows) const { return rows.narrow(0, 0, count); }
  // The same of items below `limit` only: those of a picture.
  auto keep_below(std::int64_t limit, const auto& rows) const {
    return rows.narrow(0, 0, std::clamp<std::int64_t>(limit - first, 0, count));
  }
};

struct Items {
  std::int64_t count, chunk;
  std::string what;  // for the status line; no two passes of a command have the same
  std::int64_t num_chunks() const { return (count + chunk - 1) / chunk; }
  Chunk at(std::int64_t number) const {
    const std::int64_t first = number * chunk;
    return {first, chunk, std::min(chunk, count - first)};
  }
};

// Who makes chunks.
struct Crew {
  Communicator& comm;
  Logger& logger;
  KeptChunks* kept = nullptr;      // on rank 0; null: nothing is kept
  const StopFlag* stop = nullptr;  // null: nobody asks to stop
};

// Numbers as bytes, for what share_chunks carries, and back into the first of `to`.
template <class T> std::string bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}
template <class T> void copy_bytes(std::string_view bytes, std::span<T> to) {
  check(bytes.size() <= to.size_bytes(), ExitCode::kRuntime, "chunks: {} bytes for {}", bytes.size(), to.size_bytes());
  std::memcpy(to.data(), bytes.data(), bytes.size());
}

using MakeChunk = std::function<std::string(const Chunk&)>;
using TakeChunk = std::function<void(const Chunk&, std::string_view bytes)>;

// make(chunk) on the rank whose turn it is; take(chunk, what it made) on rank 0, for all chunks in
// order, so that sums have the same bits on any number of ranks. What either throws, every rank
// throws. Where any rank was asked to stop, all keep the whole chunks and throw
// AgreedError(kRequeue). A make() that looks at the flag itself throws Error(kRequeue): its chunk
// is dropped. Collective.
void share_chunks(const Items& items, const Crew& crew, const MakeChunk& make, const TakeChunk& take);

}  // namespace hebm::comm
