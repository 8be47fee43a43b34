// Internal to the latent cache: bounds and JSON of CacheLayout, shared by the writer and the
// reader.
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

// Error(code) unless all fields are within bounds, so that no later product of them overflows 64
// bits.
void check_layout(const CacheLayout& layout, ExitCode code, const std::string& where);
storage::H5Type element_type(const CacheKey& key);
std::size_t element_bytes(const CacheKey& key);
// Bytes of all draws of one image as stored.
std::size_t record_bytes(const CacheLayout& layout);

CacheKey parse_cache_key(const nlohmann::json& json, const std::string& where);
nlohmann::json groups_to_json(const std::vector<LatentShape>& groups);
std::vector<LatentShape> parse_groups(const nlohmann::json& json, const std::string& where);
// "" when equal; else which of shape and number of groups differs.
std::string groups_difference(const std::vector<LatentShape>& expected, const std::vector<LatentShape>& got);

}  // namespace hebm::data
