// xxh3-128 of memory by libxxhash, as 32 hex digits (integrity, not cryptography).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct XXH3_state_s;  // of xxhash.h

namespace hebm::storage {

std::string hash_bytes(std::span<const std::byte> bytes);
std::string hash_text(std::string_view text);
bool is_hash(std::string_view text);                     // looks like one of those
std::uint64_t hash64(std::span<const std::byte> bytes);  // xxh3-64: one cache record

// Streaming form; the result equals hash_bytes of the concatenation.
class Hasher {
 public:
  Hasher();
  void update(std::span<const std::byte> bytes);
  std::string digest() const;
 private:
  std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> state_;
};

template <class T> std::span<const std::byte> as_bytes(const T* data, std::size_t count) {
  return {reinterpret_cast<const std::byte*>(data), count * sizeof(T)};
}

}  // namespace hebm::storage
