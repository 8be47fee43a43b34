#include <algorithm>
#include <functional>
#include <system_error>
#include "base/error.h"
#include "data/cache_index.h"
#include "data/cache_layout.h"
#include "data/latent_cache.h"
#include "data/shard_file.h"
#include "storage/files.h"

namespace hebm::data {
namespace {

IndexEntry checked_entry(const std::filesystem::path& path, const CacheLayout& layout, std::int64_t shard,
    std::vector<std::int64_t>& images) {
  std::error_code error;
  check(std::filesystem::exists(path, error), ExitCode::kCorrupt,
      "{}: expected this shard, got none: it was not written; run encode again, which writes only what is missing",
      path.string());
  const storage::ReadOnlyFile file(path);
  const ShardHeader header = read_shard_header(path);
  const std::string difference = shard_difference(header, layout, shard);
  check(difference.empty(), ExitCode::kCorrupt,
      "{} belongs to another cache: {}; choose another folder or remove this one", path.string(), difference);
  images.insert(images.end(), header.index.begin(), header.index.end());
  return {file.size(), header.u_offset, hash_outside_u(file, header.u_offset, header.u_bytes)};
}

}  // namespace

void publish_cache(const std::filesystem::path& directory, const CacheLayout& layout) {
  check_layout(layout, ExitCode::kUsage, directory.string());
  CacheIndex index{layout, {}};
  std::vector<std::int64_t> images;
  for (std::int64_t s = 0; s < layout.num_shards; ++s)
    index.shards.push_back(checked_entry(directory / shard_name(s, layout.num_shards), layout, s, images));
  std::sort(images.begin(), images.end());
  const auto twice = std::adjacent_find(images.begin(), images.end());
  check(twice == images.end(), ExitCode::kCorrupt,
      "{}: expected each image in one shard, got image {} twice: remove the shards and encode again",
      directory.string(), twice == images.end() ? 0 : *twice);
  std::error_code error;
  if (std::filesystem::exists(index_path(directory), error)) {
    const CacheIndex there = read_index(directory);
    const std::string difference = layout.key.difference(there.layout.key);
    check(difference.empty(), ExitCode::kCorrupt,
        "{} belongs to another cache: {}; choose another folder or remove this one", index_path(directory).string(),
        difference);
  }
  storage::write_file_atomic(index_path(directory), index_to_text(index));
}

}  // namespace hebm::data
