#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <functional>
#include <system_error>
#include "base/error.h"
#include "data/cache_layout.h"
#include "data/half.h"
#include "data/latent_cache.h"
#include "data/scratch_file.h"
#include "data/shard_file.h"
#include "storage/hash.h"
#include "storage/hdf5.h"
#include "storage/verified_directory.h"

namespace hebm::data {
namespace {

using storage::H5File;
using storage::H5Type;

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  check(!error || status.type() == std::filesystem::file_type::not_found, ExitCode::kRuntime,
      "{}: cannot look it up: {}", path.string(), error.message());
  return std::filesystem::exists(status);
}

// Sums by group; refuses what cannot be stored, naming image, draw and group.
void add_group(ShardReport& report, std::size_t group, std::span<const float> u, bool is_half, std::int64_t image,
    std::int64_t draw) {
  double sum = 0, sum_squares = 0;
  float largest = 0;
  for (const float value : u) {
    sum += value;
    sum_squares += static_cast<double>(value) * value;
    largest = std::max(largest, std::abs(value));  // keeps its left side for NaN, which the sums show
  }
  check(std::isfinite(sum) && std::isfinite(sum_squares), ExitCode::kCorrupt,
      "latents of image {}, draw {}, group {}: expected finite values, got NaN or infinity: the VAE or its input is "
      "broken there",
      image, draw, group);
  check(!is_half || largest <= kMaxHalf, ExitCode::kCorrupt,
      "latents of image {}, draw {}, group {}: expected |u| <= {} for float16, got {}: use cache.dtype = float32",
      image, draw, group, kMaxHalf, largest);
  report.sum[group] += sum;
  report.sum_squares[group] += sum_squares;
  report.max_abs_u = std::max(report.max_abs_u, static_cast<double>(largest));
}

ShardReport measure(const CacheLayout& layout, std::span<const std::int64_t> index, std::span<const float> u) {
  ShardReport report;
  report.num_records = static_cast<std::int64_t>(index.size());
  report.sum.assign(layout.groups.size(), 0.0);
  report.sum_squares.assign(layout.groups.size(), 0.0);
  const bool is_half = layout.key.dtype == "float16";
  std::size_t at = 0;
  for (const std::int64_t image : index)
    for (std::int64_t draw = 0; draw < layout.key.draws; ++draw)
      for (std::size_t g = 0; g < layout.groups.size(); ++g) {
        const auto size = static_cast<std::size_t>(layout.groups[g].size());
        add_group(report, g, u.subspan(at, size), is_half, image, draw);
        at += size;
      }
  return report;
}

ShardMoments moments_of(const ShardReport& report, const CacheLayout& layout) {
  ShardMoments moments{report.num_records, report.max_abs_u, report.max_rounding_error, {}, {}};
  for (std::size_t g = 0; g < layout.groups.size(); ++g) {
    const double count =
        static_cast<double>(report.num_records * layout.key.draws) * static_cast<double>(layout.groups[g].size());
    moments.mean.push_back(report.sum[g] / count);
    moments.second_moment.push_back(report.sum_squares[g] / count);
  }
  return moments;
}

std::vector<std::uint16_t> narrow_all(std::span<const float> u, double& max_error) {
  std::vector<std::uint16_t> half(u.size());
  to_half(u, half);
  std::vector<float> back(std::min<std::size_t>(u.size(), std::size_t{1} << 16));
  for (std::size_t first = 0; first < u.size(); first += back.size()) {
    const std::size_t here = std::min(back.size(), u.size() - first);
    from_half({half.data() + first, here}, {back.data(), here});
    for (std::size_t i = 0; i < here; ++i)
      max_error = std::max(max_error, std::abs(static_cast<double>(back[i]) - static_cast<double>(u[first + i])));
  }
  return half;
}

void write_shard_file(const std::filesystem::path& path, const CacheLayout& layout, std::int64_t shard,
    const ShardReport& report, std::span<const std::int64_t> index, std::span<const std::byte> stored) {
  const std::size_t bytes = record_bytes(layout);
  std::vector<std::uint64_t> hashes(index.size());
  for (std::size_t r = 0; r < index.size(); ++r) hashes[r] = storage::hash64(stored.subspan(r * bytes, bytes));
  const ShardTexts texts{layout.key.to_json().dump(), groups_to_json(layout.groups).dump(),
      moments_to_json(moments_of(report, layout)).dump()};
  const std::uint64_t count = index.size();
  H5File file = H5File::create(path);
  file.set_attribute("format", std::string("hebm-latent-shard"));
  file.set_attribute("version", std::int64_t{1});
  file.set_attribute("shard", shard);
  file.set_attribute("num_shards", layout.num_shards);
  file.set_attribute("key", texts.key);
  file.set_attribute("groups", texts.groups);
  file.set_attribute("moments", texts.moments);
  file.set_attribute("content_hash", texts.content_hash(index, hashes));
  file.write("index", H5Type::kI64, {count}, storage::as_bytes(index.data(), index.size()));
  file.write("hash", H5Type::kU64, {count}, storage::as_bytes(hashes.data(), hashes.size()));
  file.write("u", element_type(layout.key),
      {count, static_cast<std::uint64_t>(layout.key.draws), static_cast<std::uint64_t>(layout.dim())}, stored);
  file.close_durable();
}

}  // namespace

bool shard_done(const std::filesystem::path& directory, const CacheLayout& layout, std::int64_t shard,
    const std::function<void(const std::string&)>& warn) {
  check_layout(layout, ExitCode::kUsage, directory.string());
  const std::filesystem::path path = directory / shard_name(shard, layout.num_shards);
  if (!is_there(path)) return false;
  std::string difference;
  try {
    const storage::ReadOnlyFile file(path);
    const ShardHeader header = read_shard_header(path);
    difference = shard_difference(header, layout, shard);
    if (difference.empty()) check_all_records(file, header, {});
  } catch (const Error& error) {
    if (error.code() != ExitCode::kCorrupt) throw;
    const std::filesystem::path moved = storage::quarantine(path);
    if (warn) warn(fmt::format("{}; kept as {} and to be written again", error.what(), moved.string()));
    return false;
  }
  check(difference.empty(), ExitCode::kCorrupt,
      "{} belongs to another cache: {}; choose another folder or remove this one", path.string(), difference);
  return true;
}

ShardReport write_shard(const std::filesystem::path& directory, const CacheLayout& layout, std::int64_t shard,
    std::span<const std::int64_t> index, std::span<const float> u) {
  check_layout(layout, ExitCode::kUsage, directory.string());
  const auto [begin, end] = shard_range(shard, layout.num_shards, layout.key.num_images);
  const auto per_image = static_cast<std::size_t>(layout.key.draws * layout.dim());
  check(index.size() == static_cast<std::size_t>(end - begin) && u.size() == index.size() * per_image,
      ExitCode::kRuntime, "shard {} of {}: expected {} images of {} latents, got {} images and {} latents", shard,
      layout.num_shards, end - begin, per_image, index.size(), u.size());
  for (const std::int64_t image : index)
    check(image >= 0 && image < kMaxCacheImages, ExitCode::kRuntime, "shard {}: expected images 0 to {}, got {}", shard,
        kMaxCacheImages - 1, image);
  ShardReport report = measure(layout, index, u);
  const std::filesystem::path path = directory / shard_name(shard, layout.num_shards);
  check(!is_there(path), ExitCode::kRuntime, "{}: expected no such file, but it exists: another writer owns this shard",
      path.string());
  ScratchFile scratch(path);
  require_space(path, u.size() * element_bytes(layout.key) + 16 * index.size() + (std::uint64_t{1} << 20));
  if (layout.key.dtype == "float16") {
    const std::vector<std::uint16_t> half = narrow_all(u, report.max_rounding_error);
    write_shard_file(scratch.path(), layout, shard, report, index, storage::as_bytes(half.data(), half.size()));
  } else {
    write_shard_file(scratch.path(), layout, shard, report, index, storage::as_bytes(u.data(), u.size()));
  }
  scratch.publish();
  return report;
}

}  // namespace hebm::data
