#include "data/latent_cache.h"
#include <algorithm>
#include <atomic>
#include <cstring>
#include "base/error.h"
#include "data/cache_layout.h"
#include "data/half.h"
#include "data/shard_file.h"

namespace hebm::data {
namespace {

struct Shard {
  std::filesystem::path path;
  std::int64_t begin = 0;  // list position of its first record
  ShardHeader header;
};

Shard open_shard(const std::filesystem::path& directory, const CacheIndex& index, std::int64_t s) {
  const CacheLayout& layout = index.layout;
  const IndexEntry& entry = index.shards[static_cast<std::size_t>(s)];
  Shard shard;
  shard.path = directory / shard_name(s, layout.num_shards);
  const std::string name = shard.path.string();
  check_shard_exists(shard.path);
  const storage::ReadOnlyFile file(shard.path);
  check(file.size() == entry.size_bytes, ExitCode::kCorrupt, "{}: expected {} bytes, got {}; remove the shard and {}",
      name, entry.size_bytes, file.size(), kEncodeAgain);
  // Before libhdf5 sees it: a damaged structure is found here and not by the parser.
  const std::string got = hash_outside_u(file, entry.u_offset, shard_u_bytes(layout, s));
  check(got == entry.hash, ExitCode::kCorrupt, "{}: expected header hash {}, got {}; remove the shard and {}", name,
      entry.hash, got, kEncodeAgain);
  shard.header = read_shard_header(shard.path);
  check_same_cache(shard.header, layout, s, shard.path);
  check(shard.header.u_offset == entry.u_offset, ExitCode::kCorrupt, "{}: expected u at offset {}, got {}", name,
      entry.u_offset, shard.header.u_offset);
  shard.begin = shard_range(s, layout.num_shards, layout.key.num_images).first;
  return shard;
}

}  // namespace

struct LatentCache::Impl {
  std::filesystem::path directory;
  CacheLayout layout;
  std::vector<Shard> shards;
  std::size_t dim = 0, element = 0, record = 0;  // latents a draw, bytes a latent, bytes a record
  mutable std::unique_ptr<ShardHandles> handles;
  // A bit a record: its hash has been verified. Setting it twice is harmless: relaxed order.
  mutable std::unique_ptr<std::atomic<std::uint64_t>[]> touched;

  std::size_t shard_of(std::int64_t position) const {
    // The largest s with s*N/S (rounded down) <= position.
    return static_cast<std::size_t>(((position + 1) * layout.num_shards - 1) / layout.key.num_images);
  }
  void read_one(std::int64_t position, std::int64_t draw, std::span<float> out, std::vector<std::byte>& scratch) const;
};

void LatentCache::Impl::read_one(
    std::int64_t position, std::int64_t draw, std::span<float> out, std::vector<std::byte>& scratch) const {
  const std::size_t s = shard_of(position);
  const Shard& shard = shards[s];
  const auto row = static_cast<std::size_t>(position - shard.begin);
  const auto file = handles->get(s, shard.path);
  const std::uint64_t record_offset = shard.header.u_offset + row * record;
  const std::size_t draw_offset = static_cast<std::size_t>(draw) * dim * element;
  std::atomic<std::uint64_t>& word = touched[static_cast<std::size_t>(position) / 64];
  const std::uint64_t bit = std::uint64_t{1} << (static_cast<std::size_t>(position) % 64);
  const bool is_first = (word.load(std::memory_order_relaxed) & bit) == 0;
  if (!is_first && layout.key.dtype == Dtype::kFloat32)
    return file->read_at(record_offset + draw_offset, std::as_writable_bytes(out));
  scratch.resize(record);
  std::span<std::byte> stored(scratch.data(), dim * element);
  if (is_first) {  // the whole record, for its hash
    file->read_at(record_offset, scratch);
    check_record(shard.header, row, scratch, *file);
    word.fetch_or(bit, std::memory_order_relaxed);
    stored = {scratch.data() + draw_offset, stored.size()};
  } else {
    file->read_at(record_offset + draw_offset, stored);
  }
  if (layout.key.dtype == Dtype::kFloat16) {
    from_half({reinterpret_cast<const std::uint16_t*>(stored.data()), out.size()}, out);
  } else {
    std::memcpy(out.data(), stored.data(), stored.size());
  }
}

LatentCache LatentCache::open(const std::filesystem::path& directory) {
  CacheIndex index = read_index(directory);
  auto impl = std::make_shared<Impl>();
  impl->directory = directory;
  for (std::int64_t s = 0; s < index.layout.num_shards; ++s) impl->shards.push_back(open_shard(directory, index, s));
  impl->layout = std::move(index.layout);
  impl->dim = static_cast<std::size_t>(impl->layout.dim());
  impl->element = bytes_of(impl->layout.key.dtype);
  impl->record = record_bytes(impl->layout);
  impl->handles = std::make_unique<ShardHandles>(impl->shards.size());
  const auto words = static_cast<std::size_t>(impl->layout.key.num_images + 63) / 64;
  impl->touched = std::make_unique<std::atomic<std::uint64_t>[]>(words);
  return LatentCache(std::move(impl));
}

void LatentCache::expect(const CacheKey& key) const {
  const std::string difference = key.difference(impl_->layout.key);
  check(difference.empty(), ExitCode::kCorrupt,
      "{}: the cache was made for something else: {}; choose another cache folder and run encode, or use the data, "
      "VAE and settings that this one was made with",
      impl_->directory.string(), difference);
}

const CacheLayout& LatentCache::layout() const { return impl_->layout; }
std::int64_t LatentCache::num_images() const { return impl_->layout.key.num_images; }

std::int64_t LatentCache::global_index(std::int64_t position) const {
  check(position >= 0 && position < num_images(), ExitCode::kRuntime, "{}: expected positions 0 to {}, got {}",
      impl_->directory.string(), num_images() - 1, position);
  const Shard& shard = impl_->shards[impl_->shard_of(position)];
  return shard.header.index[static_cast<std::size_t>(position - shard.begin)];
}

void LatentCache::read(
    std::span<const std::int64_t> position, std::span<const std::int64_t> draw, std::span<float> out) const {
  check(position.size() == draw.size() && out.size() == position.size() * impl_->dim, ExitCode::kRuntime,
      "{}: expected as many draws as positions and {} floats each, got {} positions, {} draws, {} floats",
      impl_->directory.string(), impl_->dim, position.size(), draw.size(), out.size());
  std::vector<std::byte> scratch;
  for (std::size_t i = 0; i < position.size(); ++i) {
    check(position[i] >= 0 && position[i] < num_images() && draw[i] >= 0 && draw[i] < impl_->layout.key.draws,
        ExitCode::kRuntime, "{}: expected positions 0 to {} and draws 0 to {}, got position {}, draw {}",
        impl_->directory.string(), num_images() - 1, impl_->layout.key.draws - 1, position[i], draw[i]);
    impl_->read_one(position[i], draw[i], out.subspan(i * impl_->dim, impl_->dim), scratch);
  }
}

std::vector<LatentCache::Moments> LatentCache::moments() const {
  std::vector<Moments> result(impl_->layout.groups.size());
  for (std::size_t g = 0; g < result.size(); ++g) {
    const double total = static_cast<double>(num_images());
    double mean = 0, second = 0;
    for (const Shard& shard : impl_->shards) {
      const ShardMoments& moments = shard.header.moments;
      const double weight = static_cast<double>(moments.num_records) / total;
      mean += weight * moments.mean[g];
      second += weight * moments.second_moment[g];
    }
    result[g] = {mean, std::max(0.0, second - mean * mean),
        num_images() * impl_->layout.key.draws * impl_->layout.groups[g].size()};
  }
  return result;
}

double LatentCache::largest(double ShardMoments::*of) const {
  double out = 0;
  for (const Shard& shard : impl_->shards) out = std::max(out, shard.header.moments.*of);
  return out;
}

std::uint64_t LatentCache::stored_bytes() const { return static_cast<std::uint64_t>(num_images()) * impl_->record; }

void LatentCache::verify(const std::function<void(std::int64_t done, std::int64_t total)>& progress) const {
  std::int64_t done = 0;
  for (std::size_t s = 0; s < impl_->shards.size(); ++s) {
    const Shard& shard = impl_->shards[s];
    check_all_records(*impl_->handles->get(s, shard.path), shard.header, [&](std::int64_t records) {
      done += records;
      if (progress) progress(done, num_images());
    });
  }
}

}  // namespace hebm::data
