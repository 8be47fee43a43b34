// Internal to the latent cache: bounds and JSON of CacheLayout, and index.json, which is written
// last and says what each shard must be.
#pragma once
#include <cstddef>
#include <string>
#include "base/error.h"
#include "data/latent_cache.h"
#include "storage/hdf5.h"

namespace hebm::data {

inline constexpr std::int64_t kMaxCacheImages = std::int64_t{1} << 31;
inline constexpr std::int64_t kMaxShards = 99999;  // five digits in the name
inline constexpr std::int64_t kMaxDraws = 4096;
inline constexpr std::int64_t kMaxGroups = 256;  // limits of base/random.h
inline constexpr std::int64_t kMaxDim = std::int64_t{1} << 26;
inline constexpr const char* kEncodeAgain = "run encode again, which writes only what is missing";

// Error(code) unless all fields are within bounds: no later product of them overflows 64 bits.
void check_layout(const CacheLayout& layout, ExitCode code, const std::string& where);
storage::H5Type element_type(Dtype dtype);
// Bytes of all draws of one image as stored, and of u in one shard.
std::size_t record_bytes(const CacheLayout& layout);
std::uint64_t shard_u_bytes(const CacheLayout& layout, std::int64_t shard);

nlohmann::json groups_to_json(const std::vector<LatentShape>& groups);
std::vector<LatentShape> parse_groups(const nlohmann::json& json, const std::string& where);

struct IndexEntry {              // of one shard; its name is always shard_name(s, S), never a path from the file
  std::uint64_t size_bytes = 0;  // of the file
  std::uint64_t u_offset = 0;    // of u within the file
  std::string hash;              // xxh3-128 of all bytes of the file but u's
};

struct CacheIndex {
  CacheLayout layout;
  std::vector<IndexEntry> shards;
};

std::filesystem::path index_path(const std::filesystem::path& directory);
void write_index(const std::filesystem::path& directory, const CacheIndex& index);
// Bounds, types and names of everything: Error(kCorrupt) naming the field, expected and got.
CacheIndex read_index(const std::filesystem::path& directory);

}  // namespace hebm::data
