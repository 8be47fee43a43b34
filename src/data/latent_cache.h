// The latent cache: R posterior draws u_0 an image, in shards `shard-00042-of-00128.h5` +
// `index.json` (the manifest, last). A shard belongs to one writer, is written under a temporary
// name, fsynced, renamed and never changes again. Per shard: `u` [n,R,D] (f32 or f16), `index` i64
// [n] (global image number), `hash` u64 [n] (xxh3-64 of the record's bytes as stored), attributes:
// key, groups (JSON [[c,h,w],...]), moments (JSON: per group mean and second moment). Building is
// resumable by shard; the number of shards is a setting, not the number of ranks. Members of shard
// s are the images s*N/S .. (s+1)*N/S - 1 of the encoded list.
#pragma once
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "base/choice.h"
#include "base/share.h"
#include "base/types.h"

namespace hebm::data {

enum class Dtype { kFloat32, kFloat16 };
constexpr std::array<Choice<Dtype>, 2> choices_of(Dtype) {
  return {{{"float32", Dtype::kFloat32}, {"float16", Dtype::kFloat16}}};
}
constexpr std::size_t bytes_of(Dtype dtype) { return dtype == Dtype::kFloat16 ? 2 : 4; }

// Everything a draw depends on. Two caches are the same cache if and only if all fields are equal;
// a reader that expects another key is refused with the differing fields named.
struct CacheKey {
  std::string images_hash, split = "train", preprocessing, vae_hash, posterior_rule;
  Dtype dtype = Dtype::kFloat32;
  std::int64_t draws = 2;
  std::uint64_t seed = 0;
  std::int64_t num_images = 0;
  nlohmann::json to_json() const;
  // Error(kCorrupt) naming `where` and the field.
  static CacheKey from_json(const nlohmann::json& json, const std::string& where = "cache key");
  std::string difference(const CacheKey& other) const;  // "" when equal, else "vae_hash: expected ..., got ..."
};

struct CacheLayout {
  CacheKey key;
  std::vector<LatentShape> groups;
  std::int64_t num_shards = 1;
  std::int64_t dim() const;
};

// --- writing (one rank owns whole shards) ---
std::string shard_name(std::int64_t shard, std::int64_t num_shards);
Share shard_range(std::int64_t shard, std::int64_t num_shards, std::int64_t num_images);
// True if the shard is there and whole (key, sizes; and record hashes); a shard of another key is
// Error(kCorrupt) naming the fields; a damaged one is quarantined to *.bad, told to `warn`, and
// counts as missing.
bool shard_done(const std::filesystem::path& directory, const CacheLayout& layout, std::int64_t shard,
    const std::function<void(const std::string&)>& warn = {});

struct ShardMoments {
  std::int64_t num_records = 0;
  double max_abs_u = 0, max_rounding_error = 0;  // of float16; 0 for float32
  std::vector<double> mean, second_moment;       // by group, over n * R * group size elements
};
// u [n,R,D] float32 in the layout's order. float16 refuses |u| > 6e4; NaN and Inf are refused:
// Error(kCorrupt) naming image and group.
ShardMoments write_shard(const std::filesystem::path& directory, const CacheLayout& layout, std::int64_t shard,
    std::span<const std::int64_t> index, std::span<const float> u);
// After all shards are done (rank 0): checks that each is there, writes index.json durably.
void publish_cache(const std::filesystem::path& directory, const CacheLayout& layout);

// --- reading ---
class LatentCache {
 public:
  // Refuses a missing index or shard, sizes that do not fit, by name. Only headers are read.
  static LatentCache open(const std::filesystem::path& directory);
  void expect(const CacheKey& key) const;  // Error(kCorrupt) naming what differs and what to do
  const CacheLayout& layout() const;
  std::int64_t num_images() const;
  std::int64_t global_index(std::int64_t position) const;
  // Draw `draw[i]` of the image at list position `position[i]` -> out [count, D] as float32 (pread;
  // a record's hash is verified on first touch: Error(kCorrupt) naming shard and record).
  void read(std::span<const std::int64_t> position, std::span<const std::int64_t> draw, std::span<float> out) const;
  struct Moments {
    double mean = 0, variance = 0;
    std::int64_t count = 0;
    static constexpr double kFarMean = 0.2, kSmallVariance = 0.5, kLargeVariance = 2.0;
    // From N(0, 1): chains that start there are far from the data.
    bool is_far() const {
      return !(std::abs(mean) <= kFarMean && variance >= kSmallVariance && variance <= kLargeVariance);
    }
  };
  std::vector<Moments> moments() const;                                   // by group, from the shards' attributes
  double max_abs_u() const { return largest(&ShardMoments::max_abs_u); }  // over all shards, before rounding
  double max_rounding_error() const { return largest(&ShardMoments::max_rounding_error); }
  std::uint64_t stored_bytes() const;                                                             // of u in all shards
  void verify(const std::function<void(std::int64_t done, std::int64_t total)>& progress) const;  // every record's hash
 private:
  struct Impl;
  double largest(double ShardMoments::*of) const;
  explicit LatentCache(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace hebm::data
