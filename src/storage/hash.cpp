#include "storage/hash.h"
#include <fmt/core.h>
#include <xxhash.h>
#include <new>

namespace hebm::storage {
namespace {

std::string to_hex(const XXH128_hash_t& value) {
  return fmt::format("{:016x}{:016x}", value.high64, value.low64);  // the canonical (big-endian) form of xxhsum
}

}  // namespace

std::string hash_bytes(std::span<const std::byte> bytes) { return to_hex(XXH3_128bits(bytes.data(), bytes.size())); }

bool is_hash(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string hash_text(std::string_view text) { return hash_bytes(as_bytes(text.data(), text.size())); }

std::uint64_t hash64(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

// Made by the library: 64-byte aligned, which new would not promise.
Hasher::Hasher() : state_(XXH3_createState(), [](XXH3_state_s* state) { XXH3_freeState(state); }) {
  if (state_ == nullptr || XXH3_128bits_reset(state_.get()) != XXH_OK) throw std::bad_alloc();
}

void Hasher::update(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;  // xxhash calls a null pointer an error
  if (XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()) != XXH_OK) throw std::bad_alloc();
}

std::string Hasher::digest() const { return to_hex(XXH3_128bits_digest(state_.get())); }

}  // namespace hebm::storage
