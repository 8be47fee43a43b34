// Internal to the latent cache: one shard as a file. Its bytes are guarded twice over: each record
// of `u` by its own hash, and all other bytes (HDF5 structure, index, hashes, attributes) by one
// hash in index.json. So any flipped bit is found.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>
#include "data/latent_cache.h"
#include "storage/files.h"

namespace hebm::data {

struct ShardMoments {
  std::int64_t num_records = 0;
  double max_abs_u = 0, max_rounding_error = 0;
  std::vector<double> mean, second_moment;  // by group
};

struct ShardHeader {
  CacheKey key;
  std::vector<LatentShape> groups;
  std::int64_t shard = 0, num_shards = 0;
  std::uint64_t u_offset = 0, u_bytes = 0;  // of u [n, R, D] in the file
  std::vector<std::int64_t> index;          // [n] global image numbers
  std::vector<std::uint64_t> hashes;        // [n] xxh3-64 of a record as stored
  ShardMoments moments;
};

// The texts of a shard's attributes and the hash over them and the two small datasets, made from
// memory when written.
struct ShardTexts {
  std::string key, groups, moments;
  std::string content_hash(std::span<const std::int64_t> index, std::span<const std::uint64_t> hashes) const;
};

nlohmann::json moments_to_json(const ShardMoments& moments);
// Everything but the values of u, consistent in itself: Error(kCorrupt) naming file, expected and
// got.
ShardHeader read_shard_header(const std::filesystem::path& path);
// Whether it is shard `shard` of this layout: "" or which fields differ, expected and got.
std::string shard_difference(const ShardHeader& header, const CacheLayout& layout, std::int64_t shard);
// xxh3-128 of all bytes of the file but those of u.
std::string hash_outside_u(const storage::ReadOnlyFile& file, std::uint64_t u_offset, std::uint64_t u_bytes);

// Error(kCorrupt) naming shard file and record unless the stored bytes have this hash and every
// element is finite.
void check_record(std::span<const std::byte> bytes, std::uint64_t hash, bool is_half, const std::string& file,
    std::int64_t record, std::int64_t image);
// Every record of the shard, in blocks; `progress` is called with the number of records just done.
void check_all_records(
    const storage::ReadOnlyFile& file, const ShardHeader& header, const std::function<void(std::int64_t)>& progress);

}  // namespace hebm::data
