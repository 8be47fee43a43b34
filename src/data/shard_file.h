// Internal to the latent cache: one shard as a file. Its bytes are guarded twice over: each record
// of `u` by its own hash, and all other bytes (HDF5 structure, index, hashes, attributes) by one
// hash in index.json. So any flipped bit is found.
#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>
#include "data/latent_cache.h"
#include "storage/files.h"

namespace hebm::data {

struct ShardHeader {
  CacheLayout layout;
  std::int64_t shard = 0;
  std::uint64_t u_offset = 0, u_bytes = 0;  // of u [n, R, D] in the file
  std::vector<std::int64_t> index;          // [n] global image numbers
  std::vector<std::uint64_t> hashes;        // [n] xxh3-64 of a record as stored
  ShardMoments moments;
};

// The texts of a shard's attributes; the hash over them and the two small datasets.
struct ShardTexts {
  std::string key, groups, moments;
  std::string content_hash(std::span<const std::int64_t> index, std::span<const std::uint64_t> hashes) const;
};

nlohmann::json moments_to_json(const ShardMoments& moments);
// All but the values of u, consistent in itself: Error(kCorrupt) naming file, expected and got.
ShardHeader read_shard_header(const std::filesystem::path& path);
// Error(kCorrupt) naming the fields that differ unless it is shard `shard` of this layout.
void check_same_cache(
    const ShardHeader& header, const CacheLayout& layout, std::int64_t shard, const std::filesystem::path& path);
// Error(kCorrupt) where there is no such file.
void check_shard_exists(const std::filesystem::path& path);
// xxh3-128 of all bytes of the file but those of u.
std::string hash_outside_u(const storage::ReadOnlyFile& file, std::uint64_t u_offset, std::uint64_t u_bytes);

// Error(kCorrupt) naming shard file and record unless the stored bytes are those of this record and
// every element is finite.
void check_record(
    const ShardHeader& header, std::size_t record, std::span<const std::byte> bytes, const storage::ReadOnlyFile& file);
// Every record of the shard, in blocks; `progress` is called with the number of records just done.
void check_all_records(
    const storage::ReadOnlyFile& file, const ShardHeader& header, const std::function<void(std::int64_t)>& progress);

// Open descriptors of a cache's shards, at most max_open at a time (a process may often have 1,024
// in all, a cache 99,999 shards). Safe to use from several threads.
class ShardHandles {
 public:
  explicit ShardHandles(std::size_t num_shards, std::size_t max_open = 256) : max_open_(max_open), open_(num_shards) {}

  // The file stays open as long as the caller holds the pointer.
  std::shared_ptr<const storage::ReadOnlyFile> get(std::size_t shard, const std::filesystem::path& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (open_[shard]) return open_[shard];
    if (order_.size() >= max_open_) {
      open_[order_.front()].reset();
      order_.pop_front();
    }
    open_[shard] = std::make_shared<const storage::ReadOnlyFile>(path);
    order_.push_back(shard);
    return open_[shard];
  }
 private:
  const std::size_t max_open_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const storage::ReadOnlyFile>> open_;
  std::deque<std::size_t> order_;  // oldest first
};

}  // namespace hebm::data
