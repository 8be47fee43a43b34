#include "data/cache_layout.h"
#include <fmt/format.h>
#include <limits>
#include <type_traits>
#include "data/json_fields.h"
#include "storage/files.h"
#include "storage/hash.h"
#include "storage/json.h"

namespace hebm::data {
namespace {

constexpr std::size_t kMaxText = 4096;
constexpr std::int64_t kMaxSide = 65536, kMaxInt = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{64} << 20;  // 99,999 shards take 14 MB

// visit(name, field, largest integer), in the order of the errors.
void each_field(auto& key, const auto& visit) {
  visit("images_hash", key.images_hash, 0);
  visit("split", key.split, 0);
  visit("preprocessing", key.preprocessing, 0);
  visit("vae_hash", key.vae_hash, 0);
  visit("posterior_rule", key.posterior_rule, 0);
  visit("dtype", key.dtype, 0);
  visit("draws", key.draws, kMaxDraws);
  visit("seed", key.seed, 0);
  visit("num_images", key.num_images, kMaxCacheImages);
}

std::string shape_text(const LatentShape& shape) {
  return fmt::format("[{}, {}, {}]", shape.channels, shape.height, shape.width);
}

IndexEntry parse_entry(
    const nlohmann::json& json, const CacheLayout& layout, std::int64_t shard, const std::string& where) {
  const std::string expected_name = shard_name(shard, layout.num_shards);
  const std::string name = json_string(json, "name", 255, where);
  check(name == expected_name, ExitCode::kCorrupt, "{}: name: expected {}, got {}", where, expected_name,
      nlohmann::json(name).dump(-1, ' ', true));
  IndexEntry entry;
  entry.size_bytes = static_cast<std::uint64_t>(json_int(json, "size_bytes", 1, kMaxInt, where));
  entry.u_offset = static_cast<std::uint64_t>(json_int(json, "u_offset", 1, kMaxInt, where));
  entry.hash = json_string(json, "hash", 64, where);
  check(storage::is_hash(entry.hash), ExitCode::kCorrupt, "{}: hash: expected 32 hex digits, got {}", where,
      nlohmann::json(entry.hash).dump(-1, ' ', true));
  const std::uint64_t u_bytes = shard_u_bytes(layout, shard);
  check(u_bytes <= entry.size_bytes && entry.u_offset <= entry.size_bytes - u_bytes, ExitCode::kCorrupt,
      "{}: expected room for {} bytes of latents, got offset {} in {} bytes", where, u_bytes, entry.u_offset,
      entry.size_bytes);
  return entry;
}

}  // namespace

nlohmann::json CacheKey::to_json() const {
  nlohmann::json json;
  each_field(*this, [&]<class T>(const char* name, const T& value, std::int64_t) {
    if constexpr (NamedEnum<T>) {
      json[name] = name_of(value);
    } else {
      json[name] = value;
    }
  });
  return json;
}

CacheKey CacheKey::from_json(const nlohmann::json& json, const std::string& where) {
  CacheKey key;
  each_field(key, [&]<class T>(const char* name, T& value, std::int64_t max) {
    if constexpr (std::is_same_v<T, std::int64_t>) {
      value = json_int(json, name, 1, max, where);
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
      value = json_u64(json, name, where);
    } else if constexpr (NamedEnum<T>) {
      const std::string text = json_string(json, name, kMaxText, where);
      const auto found = value_named<T>(text);
      check(found.has_value(), ExitCode::kCorrupt, "{}: {}: expected float32 or float16, got {}", where, name,
          nlohmann::json(text).dump(-1, ' ', true));
      value = *found;
    } else {
      value = json_string(json, name, kMaxText, where);
    }
  });
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
  const auto within = [&](const char* what, std::int64_t value, std::int64_t max) {
    check(value >= 1 && value <= max, code, "{}: {}: expected 1 to {}, got {}", where, what, max, value);
  };
  within("num_images", key.num_images, kMaxCacheImages);
  within("draws", key.draws, kMaxDraws);
  check(layout.num_shards >= 1 && layout.num_shards <= kMaxShards && layout.num_shards <= key.num_images, code,
      "{}: shards: expected 1 to {} and at most one an image ({} images), got {}", where, kMaxShards, key.num_images,
      layout.num_shards);
  within("groups", static_cast<std::int64_t>(layout.groups.size()), kMaxGroups);
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

storage::H5Type element_type(Dtype dtype) {
  return dtype == Dtype::kFloat16 ? storage::H5Type::kF16 : storage::H5Type::kF32;
}

std::size_t record_bytes(const CacheLayout& layout) {
  return static_cast<std::size_t>(layout.key.draws * layout.dim()) * bytes_of(layout.key.dtype);
}

std::uint64_t shard_u_bytes(const CacheLayout& layout, std::int64_t shard) {
  const auto [begin, end] = shard_range(shard, layout.num_shards, layout.key.num_images);
  return static_cast<std::uint64_t>(end - begin) * record_bytes(layout);
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

std::string shard_name(std::int64_t shard, std::int64_t num_shards) {
  return fmt::format("shard-{:05}-of-{:05}.h5", shard, num_shards);
}

Share shard_range(std::int64_t shard, std::int64_t num_shards, std::int64_t num_images) {
  check(num_shards >= 1 && num_shards <= kMaxShards && shard >= 0 && shard < num_shards && num_images >= 0 &&
            num_images <= kMaxCacheImages,
      ExitCode::kRuntime, "shard range: expected 0 <= shard < shards <= {} and 0 to {} images, got {}, {}, {}",
      kMaxShards, kMaxCacheImages, shard, num_shards, num_images);
  return share_of(num_images, shard, num_shards);
}

std::filesystem::path index_path(const std::filesystem::path& directory) { return directory / "index.json"; }

void write_index(const std::filesystem::path& directory, const CacheIndex& index) {
  nlohmann::ordered_json json;
  json["format"] = "hebm-latent-cache";
  json["version"] = 1;
  json["key"] = index.layout.key.to_json();
  json["groups"] = groups_to_json(index.layout.groups);
  json["num_shards"] = index.layout.num_shards;
  json["shards"] = nlohmann::ordered_json::array();
  for (std::size_t s = 0; s < index.shards.size(); ++s) {
    const IndexEntry& entry = index.shards[s];
    json["shards"].push_back({{"name", shard_name(static_cast<std::int64_t>(s), index.layout.num_shards)},
        {"size_bytes", entry.size_bytes}, {"u_offset", entry.u_offset}, {"hash", entry.hash}});
  }
  storage::write_file_atomic(index_path(directory), storage::json_text(json, 1) + "\n");
}

CacheIndex read_index(const std::filesystem::path& directory) {
  const std::filesystem::path path = index_path(directory);
  const std::string where = path.string();
  std::error_code error;
  check(std::filesystem::is_regular_file(path, error), ExitCode::kCorrupt,
      "{}: expected the index of a latent cache, got none: the cache is not finished; {}", where, kEncodeAgain);
  const std::string text = storage::read_file(path, kMaxIndexBytes);
  check(text.ends_with('\n'), ExitCode::kCorrupt, "{}: expected a line end behind the last byte: the file was cut off",
      where);
  const nlohmann::json json = parse_json(text, where);
  const std::string format = json_string(json, "format", 255, where);
  check(format == "hebm-latent-cache", ExitCode::kCorrupt, "{}: expected format hebm-latent-cache, got {}", where,
      nlohmann::json(format).dump(-1, ' ', true));
  json_int(json, "version", 1, 1, where);
  CacheIndex index;
  index.layout.key = CacheKey::from_json(json_field(json, "key", where), where + ": key");
  index.layout.groups = parse_groups(json_field(json, "groups", where), where + ": groups");
  index.layout.num_shards = json_int(json, "num_shards", 1, kMaxShards, where);
  check_layout(index.layout, ExitCode::kCorrupt, where);
  const auto count = static_cast<std::size_t>(index.layout.num_shards);
  const nlohmann::json& shards = json_array(json, "shards", count, count, where);
  index.shards.reserve(count);
  for (std::size_t s = 0; s < count; ++s)
    index.shards.push_back(
        parse_entry(shards[s], index.layout, static_cast<std::int64_t>(s), fmt::format("{}: shards[{}]", where, s)));
  return index;
}

}  // namespace hebm::data
