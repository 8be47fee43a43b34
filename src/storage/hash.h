// xxh3-128 of memory, as 32 hex digits (content addressing and integrity, not cryptography). Uses
// libxxhash.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hebm::storage {

std::string hash_bytes(std::span<const std::byte> bytes);
std::string hash_text(std::string_view text);
bool is_hash(std::string_view text);                     // looks like one of those
std::uint64_t hash64(std::span<const std::byte> bytes);  // xxh3-64: one cache record

// Streaming form; the result equals hash_bytes of the concatenation.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void update(std::span<const std::byte> bytes);
  std::string digest() const;
 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

template <class T> std::span<const std::byte> as_bytes(const T* data, std::size_t count) {
  return {reinterpret_cast<const std::byte*>(data), count * sizeof(T)};
}

}  // namespace hebm::storage
