#include "data/cache_index.h"
#include <limits>
#include "base/error.h"
#include "data/cache_layout.h"
#include "data/json_fields.h"
#include "storage/files.h"
#include "storage/hash.h"

namespace hebm::data {
namespace {

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{64} << 20;  // 99,999 shards take 14 MB

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

std::filesystem::path index_path(const std::filesystem::path& directory) { return directory / "index.json"; }

std::uint64_t shard_u_bytes(const CacheLayout& layout, std::int64_t shard) {
  const auto [begin, end] = shard_range(shard, layout.num_shards, layout.key.num_images);
  return static_cast<std::uint64_t>(end - begin) * record_bytes(layout);
}

std::string index_to_text(const CacheIndex& index) {
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
  return json.dump(1) + "\n";
}

CacheIndex read_index(const std::filesystem::path& directory) {
  const std::filesystem::path path = index_path(directory);
  const std::string where = path.string();
  std::error_code error;
  check(std::filesystem::is_regular_file(path, error), ExitCode::kCorrupt,
      "{}: expected the index of a latent cache, got none: the cache is not finished; run encode again, which "
      "writes only what is missing",
      where);
  const std::string text = storage::read_file(path, kMaxIndexBytes);
  check(text.ends_with('\n'), ExitCode::kCorrupt, "{}: expected a line end behind the last byte: the file was cut off",
      where);
  const nlohmann::json json = parse_json(text, where);
  const std::string format = json_string(json, "format", 255, where);
  check(format == "hebm-latent-cache", ExitCode::kCorrupt, "{}: expected format hebm-latent-cache, got {}", where,
      nlohmann::json(format).dump(-1, ' ', true));
  json_int(json, "version", 1, 1, where);
  CacheIndex index;
  index.layout.key = parse_cache_key(json_field(json, "key", where), where + ": key");
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
