#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <functional>
#include <system_error>
#include "base/error.h"
#include "data/cache_layout.h"
#include "data/half.h"
#include "data/latent_cache.h"
#include "data/new_file.h"
#include "data/shard_file.h"
#include "storage/files.h"
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

// All but the rounding error. Refuses what cannot be stored, naming image, draw and group.
ShardMoments measure(const CacheLayout& layout, std::span<const std::int64_t> index, std::span<const float> u) {
  ShardMoments out;
  out.num_records = static_cast<std::int64_t>(index.size());
  out.mean.assign(layout.groups.size(), 0.0);
  out.second_moment.assign(layout.groups.size(), 0.0);
  const float* value = u.data();
  for (const std::int64_t image : index)
    for (std::int64_t draw = 0; draw < layout.key.draws; ++draw)
      for (std::size_t g = 0; g < layout.groups.size(); ++g) {
        double sum = 0, sum_squares = 0;
        float largest = 0;
        for (const float* end = value + layout.groups[g].size(); value != end; ++value) {
          sum += *value;
          sum_squares += static_cast<double>(*value) * *value;
          largest = std::max(largest, std::abs(*value));  // keeps its left side for NaN, which the sums show
        }
        check(std::isfinite(sum) && std::isfinite(sum_squares), ExitCode::kCorrupt,
            "latents of image {}, draw {}, group {}: expected finite values, got NaN or infinity: the VAE or its input "
            "is broken there",
            image, draw, g);
        check(layout.key.dtype == Dtype::kFloat32 || largest <= kMaxHalf, ExitCode::kCorrupt,
            "latents of image {}, draw {}, group {}: expected |u| <= {} for float16, got {}: use cache.dtype = float32",
            image, draw, g, kMaxHalf, largest);
        out.mean[g] += sum;
        out.second_moment[g] += sum_squares;
        out.max_abs_u = std::max(out.max_abs_u, static_cast<double>(largest));
      }
  for (std::size_t g = 0; g < layout.groups.size(); ++g) {
    const double count =
        static_cast<double>(out.num_records * layout.key.draws) * static_cast<double>(layout.groups[g].size());
    out.mean[g] /= count;
    out.second_moment[g] /= count;
  }
  return out;
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
    const ShardMoments& moments, std::span<const std::int64_t> index, std::span<const std::byte> stored) {
  const std::size_t bytes = record_bytes(layout);
  std::vector<std::uint64_t> hashes(index.size());
  for (std::size_t r = 0; r < index.size(); ++r) hashes[r] = storage::hash64(stored.subspan(r * bytes, bytes));
  const ShardTexts texts{
      layout.key.to_json().dump(), groups_to_json(layout.groups).dump(), moments_to_json(moments).dump()};
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
  file.write("u", element_type(layout.key.dtype),
      {count, static_cast<std::uint64_t>(layout.key.draws), static_cast<std::uint64_t>(layout.dim())}, stored);
  file.close_durable();
}

}  // namespace

bool shard_done(const std::filesystem::path& directory, const CacheLayout& layout, std::int64_t shard,
    const std::function<void(const std::string&)>& warn) {
  check_layout(layout, ExitCode::kUsage, directory.string());
  const std::filesystem::path path = directory / shard_name(shard, layout.num_shards);
  if (!is_there(path)) return false;
  const auto whole = [&](const auto& read) {
    try {
      read();
      return true;
    } catch (const Error& error) {
      if (error.code() != ExitCode::kCorrupt) throw;
      const std::filesystem::path moved = storage::quarantine(path);
      if (warn) warn(fmt::format("{}; kept as {} and to be written again", error.what(), moved.string()));
      return false;
    }
  };
  ShardHeader header;
  if (!whole([&] { header = read_shard_header(path); })) return false;
  check_same_cache(header, layout, shard, path);
  return whole([&] { check_all_records(storage::ReadOnlyFile(path), header, {}); });
}

ShardMoments write_shard(const std::filesystem::path& directory, const CacheLayout& layout, std::int64_t shard,
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
  ShardMoments moments = measure(layout, index, u);
  const std::filesystem::path path = directory / shard_name(shard, layout.num_shards);
  check(!is_there(path), ExitCode::kRuntime, "{}: expected no such file, but it exists: another writer owns this shard",
      path.string());
  const std::uint64_t bytes = u.size() * bytes_of(layout.key.dtype) + 16 * index.size() + (std::uint64_t{1} << 20);
  write_new_file(path, bytes, [&](const std::filesystem::path& temporary) {
    if (layout.key.dtype == Dtype::kFloat16) {
      const std::vector<std::uint16_t> half = narrow_all(u, moments.max_rounding_error);
      write_shard_file(temporary, layout, shard, moments, index, storage::as_bytes(half.data(), half.size()));
    } else {
      write_shard_file(temporary, layout, shard, moments, index, storage::as_bytes(u.data(), u.size()));
    }
  });
  return moments;
}

void publish_cache(const std::filesystem::path& directory, const CacheLayout& layout) {
  check_layout(layout, ExitCode::kUsage, directory.string());
  CacheIndex index{layout, {}};
  std::vector<std::int64_t> images;
  for (std::int64_t s = 0; s < layout.num_shards; ++s) {
    const std::filesystem::path path = directory / shard_name(s, layout.num_shards);
    check_shard_exists(path);
    const ShardHeader header = read_shard_header(path);
    check_same_cache(header, layout, s, path);
    images.insert(images.end(), header.index.begin(), header.index.end());
    const storage::ReadOnlyFile file(path);
    index.shards.push_back({file.size(), header.u_offset, hash_outside_u(file, header.u_offset, header.u_bytes)});
  }
  std::ranges::sort(images);
  const auto twice = std::ranges::adjacent_find(images);
  check(twice == images.end(), ExitCode::kCorrupt,
      "{}: expected each image in one shard, got image {} twice: remove the shards and encode again",
      directory.string(), twice == images.end() ? 0 : *twice);
  if (is_there(index_path(directory))) {
    const std::string difference = layout.key.difference(read_index(directory).layout.key);
    check(difference.empty(), ExitCode::kCorrupt,
        "{} belongs to another cache: {}; choose another folder or remove this one", index_path(directory).string(),
        difference);
  }
  write_index(directory, index);
}

}  // namespace hebm::data
