// Equal shares of what is dealt out in order: of images to shards, of work to ranks.
#pragma once
#include <cstdint>

namespace hebm {

// Items [first, last) of a whole.
struct Share {
  std::int64_t first, last;
  std::int64_t size() const { return last - first; }
  bool operator==(const Share&) const = default;
};

// Number `part` of `parts` shares of n items.
constexpr Share share_of(std::int64_t n, std::int64_t part, std::int64_t parts) {
  return {n * part / parts, n * (part + 1) / parts};
}

}  // namespace hebm
