#include "data/cache_layout.h"
#include <fmt/format.h>
#include "data/json_fields.h"

namespace hebm::data {
namespace {

constexpr std::size_t kMaxText = 4096;
constexpr std::int64_t kMaxSide = 65536;

std::string shape_text(const LatentShape& shape) {
  return fmt::format("[{}, {}, {}]", shape.channels, shape.height, shape.width);
}

}  // namespace

nlohmann::json CacheKey::to_json() const {
  return {{"images_hash", images_hash}, {"split", split}, {"preprocessing", preprocessing}, {"vae_hash", vae_hash},
      {"posterior_rule", posterior_rule}, {"dtype", dtype}, {"draws", draws}, {"seed", seed},
      {"num_images", num_images}};
}

CacheKey CacheKey::from_json(const nlohmann::json& json) { return parse_cache_key(json, "cache key"); }

CacheKey parse_cache_key(const nlohmann::json& json, const std::string& where) {
  CacheKey key;
  key.images_hash = json_string(json, "images_hash", kMaxText, where);
  key.split = json_string(json, "split", kMaxText, where);
  key.preprocessing = json_string(json, "preprocessing", kMaxText, where);
  key.vae_hash = json_string(json, "vae_hash", kMaxText, where);
  key.posterior_rule = json_string(json, "posterior_rule", kMaxText, where);
  key.dtype = json_string(json, "dtype", kMaxText, where);
  key.draws = json_int(json, "draws", 1, kMaxDraws, where);
  key.seed = json_u64(json, "seed", where);
  key.num_images = json_int(json, "num_images", 1, kMaxCacheImages, where);
  // A field that this version does not know would make two different caches look the same.
  const nlohmann::json known = key.to_json();
  for (const auto& item : json.items())
    check(known.contains(item.key()), ExitCode::kCorrupt,
        "{}: expected only the known fields, got \"{}\": written by a newer version?", where, item.key().substr(0, 64));
  return key;
}

std::string CacheKey::difference(const CacheKey& other) const {
  const nlohmann::json expected = to_json(), got = other.to_json();
  std::string text;
  for (const auto& item : expected.items()) {
    const nlohmann::json& value = got.at(item.key());
    if (item.value() == value) continue;
    constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
    text += fmt::format("{}{}: expected {}, got {}", text.empty() ? "" : "; ", item.key(),
        item.value().dump(-1, ' ', true, kReplace), value.dump(-1, ' ', true, kReplace));
  }
  return text;
}

std::int64_t CacheLayout::dim() const {
  std::int64_t dim = 0;
  for (const LatentShape& group : groups) dim += group.size();
  return dim;
}

void check_layout(const CacheLayout& layout, ExitCode code, const std::string& where) {
  const CacheKey& key = layout.key;
  check(key.dtype == "float32" || key.dtype == "float16", code, "{}: dtype: expected float32 or float16, got \"{}\"",
      where, key.dtype);
  check(key.num_images >= 1 && key.num_images <= kMaxCacheImages, code, "{}: num_images: expected 1 to {}, got {}",
      where, kMaxCacheImages, key.num_images);
  check(key.draws >= 1 && key.draws <= kMaxDraws, code, "{}: draws: expected 1 to {}, got {}", where, kMaxDraws,
      key.draws);
  check(layout.num_shards >= 1 && layout.num_shards <= kMaxShards && layout.num_shards <= key.num_images, code,
      "{}: shards: expected 1 to {} and at most one an image ({} images), got {}", where, kMaxShards, key.num_images,
      layout.num_shards);
  const auto num_groups = static_cast<std::int64_t>(layout.groups.size());
  check(num_groups >= 1 && num_groups <= kMaxGroups, code, "{}: groups: expected 1 to {}, got {}", where, kMaxGroups,
      num_groups);
  std::int64_t dim = 0;
  for (const LatentShape& g : layout.groups) {
    const bool fits = g.channels >= 1 && g.channels <= kMaxSide && g.height >= 1 && g.height <= kMaxSide &&
                      g.width >= 1 && g.width <= kMaxSide;
    check(fits, code, "{}: groups: expected sides of 1 to {}, got {}", where, kMaxSide, shape_text(g));
    dim += g.size();  // each at most 2^48, and 256 of them
  }
  check(dim <= kMaxDim, code, "{}: groups: expected at most {} latents an image, got {}", where, kMaxDim, dim);
  std::int64_t total = 0;
  const bool overflow = __builtin_mul_overflow(key.num_images, static_cast<std::int64_t>(record_bytes(layout)), &total);
  check(!overflow, code, "{}: {} images of {} bytes each do not fit 2^63 bytes", where, key.num_images,
      record_bytes(layout));
}

storage::H5Type element_type(const CacheKey& key) {
  return key.dtype == "float16" ? storage::H5Type::kF16 : storage::H5Type::kF32;
}

std::size_t element_bytes(const CacheKey& key) { return storage::size_of(element_type(key)); }

std::size_t record_bytes(const CacheLayout& layout) {
  return static_cast<std::size_t>(layout.key.draws * layout.dim()) * element_bytes(layout.key);
}

nlohmann::json groups_to_json(const std::vector<LatentShape>& groups) {
  nlohmann::json json = nlohmann::json::array();
  for (const LatentShape& g : groups) json.push_back({g.channels, g.height, g.width});
  return json;
}

std::vector<LatentShape> parse_groups(const nlohmann::json& json, const std::string& where) {
  check(json.is_array() && !json.empty() && json.size() <= static_cast<std::size_t>(kMaxGroups), ExitCode::kCorrupt,
      "{}: expected an array of 1 to {} groups, got {} of {}", where, kMaxGroups, json.type_name(), json.size());
  std::vector<LatentShape> groups;
  for (const auto& entry : json) {
    check(entry.is_array() && entry.size() == 3, ExitCode::kCorrupt, "{}: expected [c, h, w], got {} of {}", where,
        entry.type_name(), entry.size());
    groups.push_back({json_int_value(entry[0], 1, kMaxSide, where), json_int_value(entry[1], 1, kMaxSide, where),
        json_int_value(entry[2], 1, kMaxSide, where)});
  }
  return groups;
}

std::string groups_difference(const std::vector<LatentShape>& expected, const std::vector<LatentShape>& got) {
  if (expected == got) return "";
  return fmt::format("groups: expected {}, got {}", groups_to_json(expected).dump(), groups_to_json(got).dump());
}

std::string shard_name(std::int64_t shard, std::int64_t num_shards) {
  return fmt::format("shard-{:05}-of-{:05}.h5", shard, num_shards);
}

std::pair<std::int64_t, std::int64_t> shard_range(
    std::int64_t shard, std::int64_t num_shards, std::int64_t num_images) {
  check(num_shards >= 1 && num_shards <= kMaxShards && shard >= 0 && shard < num_shards && num_images >= 0 &&
            num_images <= kMaxCacheImages,
      ExitCode::kRuntime, "shard range: expected 0 <= shard < shards <= {} and 0 to {} images, got {}, {}, {}",
      kMaxShards, kMaxCacheImages, shard, num_shards, num_images);
  return {shard * num_images / num_shards, (shard + 1) * num_images / num_shards};
}

}  // namespace hebm::data
