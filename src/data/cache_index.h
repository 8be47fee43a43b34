// Internal to the latent cache: index.json, which is written last and says what each shard must be.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "data/latent_cache.h"

namespace hebm::data {

struct IndexEntry {              // of one shard; its name is always shard_name(s, S), never a path from the file
  std::uint64_t size_bytes = 0;  // of the file
  std::uint64_t u_offset = 0;    // of u within the file
  std::string hash;              // xxh3-128 of all bytes of the file but u's
  bool operator==(const IndexEntry&) const = default;
};

struct CacheIndex {
  CacheLayout layout;
  std::vector<IndexEntry> shards;
};

std::filesystem::path index_path(const std::filesystem::path& directory);
std::string index_to_text(const CacheIndex& index);
// Bounds, types and names of everything: Error(kCorrupt) naming the field, expected and got.
CacheIndex read_index(const std::filesystem::path& directory);
// Bytes of u in shard s.
std::uint64_t shard_u_bytes(const CacheLayout& layout, std::int64_t shard);

}  // namespace hebm::data
