#include <gtest/gtest.h>
#include <cstring>
#include <set>
#include "data/latent_cache.h"
#include "data/shard_file.h"
#include "storage/hash.h"
#include "storage/hdf5.h"
#include "support.h"

namespace hebm::data::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kShard1 = "shard-00001-of-00003.h5";

class HostileCache : public ::testing::Test {
 protected:
  HostileCache() { write_cache(folder_.path(), layout_); }
  void open_and_verify() const { LatentCache::open(folder_.path()).verify({}); }
  void expect_refused(const std::vector<std::string>& parts) const {
    expect_error(ExitCode::kCorrupt, parts, [this] { open_and_verify(); });
  }
  TempFolder folder_;
  CacheLayout layout_ = small_layout();
};

std::string flipped(std::string text, std::size_t byte) {
  text[byte] = static_cast<char>(text[byte] ^ (1 << (byte * 5 % 8)));
  return text;
}

TEST_F(HostileCache, AFlippedBitAnywhereInAShardIsFoundAndTheShardNamed) {
  const fs::path path = folder_ / kShard1;
  const std::string good = slurp(path);
  ASSERT_LT(good.size(), 20000u);
  for (std::size_t byte = 0; byte < good.size(); byte += 5) {
    spill(path, flipped(good, byte));
    try {
      open_and_verify();
      ADD_FAILURE() << "byte " << byte << " of " << good.size();
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ExitCode::kCorrupt) << error.what();
      ASSERT_NE(std::string(error.what()).find(kShard1), std::string::npos) << error.what();
    }
  }
  spill(path, good);
  open_and_verify();
}

TEST_F(HostileCache, AFlippedBitInARecordIsFoundOnFirstTouchAndTheRecordNamed) {
  const fs::path path = folder_ / kShard1;
  const std::string good = slurp(path);
  const auto [index, u] = shard_content(layout_, 1);
  const std::size_t offset = good.find(std::string(reinterpret_cast<const char*>(u.data()), u.size() * 4));
  ASSERT_NE(offset, std::string::npos);
  for (std::size_t byte = 0; byte < u.size() * 4; ++byte) {
    spill(path, flipped(good, offset + byte));
    const LatentCache cache = LatentCache::open(folder_.path());  // reads headers only
    std::vector<float> out(6);
    const std::size_t record = byte / 48;
    for (std::size_t r = 0; r < 4; ++r) {
      // Either draw tells: the hash is of the whole record.
      const std::vector<std::int64_t> position = {static_cast<std::int64_t>(4 + r)},
                                      draw = {static_cast<std::int64_t>(byte % 2)};
      if (r != record)
        cache.read(position, draw, out);
      else
        for (int again = 0; again < 2; ++again)  // a bad record never counts as touched
          expect_error(ExitCode::kCorrupt,
              {kShard1, fmt::format("record {}", record), fmt::format("image {}", index[record])},
              [&] { cache.read(position, draw, out); });
    }
  }
}

TEST_F(HostileCache, AFlippedBitAnywhereInTheIndexIsFound) {
  const fs::path path = folder_ / "index.json";
  const std::string good = slurp(path);
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    const std::string bad = flipped(good, byte);
    spill(path, bad);
    try {
      open_and_verify();
      ADD_FAILURE() << "byte " << byte << ": " << bad.substr(byte < 20 ? 0 : byte - 20, 40);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ExitCode::kCorrupt) << error.what();
    }
  }
}

TEST_F(HostileCache, CutAndGrownAndMissingFilesAreNamed) {
  for (const std::string& name : {std::string(kShard1), std::string("index.json")}) {
    const std::string good = slurp(folder_ / name);
    for (int part = 0; part < 50; ++part) {
      spill(folder_ / name, good.substr(0, good.size() * static_cast<std::size_t>(part) / 50));
      expect_refused({name});
    }
    spill(folder_ / name, good + "x");
    expect_refused({name});
    fs::remove(folder_ / name);
    expect_refused({name, "run encode again"});
    spill(folder_ / name, good);
  }
  open_and_verify();
}

TEST_F(HostileCache, ForeignShardsAreRefusedByField) {
  TempFolder other_folder;
  CacheLayout other = layout_;
  other.key.vae_hash = "another VAE";
  write_cache(other_folder.path(), other);
  const fs::path path = folder_ / kShard1;
  const std::string good = slurp(path);
  fs::copy_file(other_folder / kShard1, path, fs::copy_options::overwrite_existing);
  expect_refused({kShard1});
  // Resuming an encode must not mix them either, and must not destroy the other cache's shard.
  expect_error(ExitCode::kCorrupt, {kShard1, "another cache", "vae_hash", "another VAE"},
      [&] { shard_done(folder_.path(), layout_, 1); });
  expect_error(ExitCode::kCorrupt, {kShard1, "vae_hash"}, [&] { publish_cache(folder_.path(), layout_); });
  EXPECT_TRUE(fs::exists(path));
  // Another shard of the same cache under this name.
  fs::copy_file(folder_ / shard_name(2, 3), path, fs::copy_options::overwrite_existing);
  expect_refused({kShard1});
  expect_error(ExitCode::kCorrupt, {"shard: expected 1, got 2"}, [&] { publish_cache(folder_.path(), layout_); });
  spill(path, good);
  // Another index over these shards.
  fs::copy_file(other_folder / "index.json", folder_ / "index.json", fs::copy_options::overwrite_existing);
  expect_refused({"shard-00000-of-00003.h5"});
  expect_error(ExitCode::kCorrupt, {"index.json", "vae_hash"}, [&] { publish_cache(folder_.path(), layout_); });
}

TEST_F(HostileCache, AnotherKeyIsRefusedByField) {
  CacheKey key = layout_.key;
  key.seed = 3;
  key.posterior_rule = "mean";
  expect_error(ExitCode::kCorrupt,
      {folder_.path().string(), "posterior_rule: expected \"mean\", got \"residual\"",
          "seed: expected 3, got 18446744073709551615", "run encode"},
      [&] { LatentCache::open(folder_.path()).expect(key); });
}

TEST_F(HostileCache, DamagedShardsAreSetAsideWhenResuming) {
  const fs::path path = folder_ / kShard1;
  const std::string good = slurp(path);
  std::set<std::string> kept;
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& text) { warnings.push_back(text); };
  const auto [index, u] = shard_content(layout_, 1);
  const std::size_t u_offset = good.find(std::string(reinterpret_cast<const char*>(u.data()), u.size() * 4));
  const std::size_t index_offset =
      good.find(std::string(reinterpret_cast<const char*>(index.data()), index.size() * 8));
  for (const std::size_t byte : {std::size_t{0}, good.find("posterior_rule"), index_offset, u_offset + 50}) {
    ASSERT_LT(byte, good.size());
    spill(path, flipped(good, byte));
    EXPECT_FALSE(shard_done(folder_.path(), layout_, 1, warn)) << byte;
    EXPECT_FALSE(fs::exists(path));
  }
  spill(path, good.substr(0, good.size() / 2));
  EXPECT_FALSE(shard_done(folder_.path(), layout_, 1, warn));
  ASSERT_EQ(warnings.size(), 5u);
  EXPECT_NE(warnings[0].find(kShard1), std::string::npos);
  EXPECT_EQ(names_in(folder_.path()).size(), 3u + 5);
  write_shard(folder_.path(), layout_, 1, index, u);
  EXPECT_TRUE(shard_done(folder_.path(), layout_, 1, warn));
  publish_cache(folder_.path(), layout_);
  open_and_verify();
}

TEST_F(HostileCache, TheSameImageTwiceIsRefused) {
  auto [index, u] = shard_content(layout_, 1);
  index[2] = image_at(12);  // of shard 2
  fs::remove(folder_ / kShard1);
  write_shard(folder_.path(), layout_, 1, index, u);
  expect_error(ExitCode::kCorrupt, {"image 1036 twice"}, [&] { publish_cache(folder_.path(), layout_); });
}

TEST_F(HostileCache, HostileIndexesAreRefusedBeforeAnythingIsAllocated) {
  const fs::path path = folder_ / "index.json";
  const nlohmann::json good = nlohmann::json::parse(slurp(path));
  const auto refused = [&](const std::string& what, const std::string& pointer, const nlohmann::json& value) {
    nlohmann::json bad = good;
    bad[nlohmann::json::json_pointer(pointer)] = value;
    spill(path, bad.dump() + "\n");
    expect_refused({path.string(), what});
  };
  refused("name", "/shards/1/name", "../../etc/passwd");
  refused("name", "/shards/1/name", "/etc/passwd");
  refused("name", "/shards/1/name", shard_name(2, 3));
  refused("name", "/shards/1/name", 5);
  refused("size_bytes", "/shards/1/size_bytes", -1);
  refused("size_bytes", "/shards/1/size_bytes", 18446744073709551615ull);
  refused("size_bytes", "/shards/1/size_bytes", 1e18);
  refused("room for", "/shards/1/u_offset", 9223372036854775807ll);
  refused("room for", "/shards/1/size_bytes", 100);
  refused("hash", "/shards/1/hash", "abc");
  refused("hash", "/shards/1/hash", std::string(32, 'g'));
  refused("shards", "/shards", nlohmann::json::array());
  refused("shards", "/num_shards", 2147483648ll);
  refused("shards", "/num_shards", 4);
  refused("at most one an image (2 images), got 3", "/key/num_images", 2);
  refused("num_images", "/key/num_images", std::int64_t{1} << 60);
  refused("draws", "/key/draws", std::int64_t{1} << 33);
  refused("room for", "/key/draws", 4096);
  refused("dtype", "/key/dtype", "float8");
  refused("groups", "/groups/0", {65536, 65536, 65536});
  refused("groups", "/groups/0", {1, 1, -1});
  refused("groups", "/groups/0", {1, 1, 1, 1});
  refused("groups", "/groups/0/2", 1.5);
  refused("groups", "/groups", nlohmann::json::array());
  refused("room for", "/groups/0", {4096, 64, 128});
  refused("format", "/format", "hebm-dataset");
  refused("version", "/version", 2);
  spill(path, std::string(1 << 20, '[') + "\n");
  expect_refused({path.string()});
  spill(path, "[]\n");
  expect_refused({path.string()});
  spill(path, good.dump());
  expect_refused({path.string(), "the file was cut off"});
  spill(path, good.dump() + "\n");
  open_and_verify();
}

TEST(ShardFile, TheHashOutsideULeavesOutUAlone) {
  const TempFolder folder;
  std::string text((std::size_t{2} << 20) + 7, '.');  // more than one block on either side
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 37 + i / 251);
  spill(folder / "a", text);
  const storage::ReadOnlyFile file(folder / "a");
  for (const std::uint64_t offset :
      {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{3} << 19, std::uint64_t{text.size()}})
    for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, text.size() - offset}) {
      if (bytes > text.size() - offset) continue;
      std::string rest = text;
      rest.erase(offset, bytes);
      EXPECT_EQ(hash_outside_u(file, offset, bytes), storage::hash_text(rest)) << offset << ' ' << bytes;
    }
  expect_error(ExitCode::kCorrupt, {"a: expected 8 bytes"}, [&] { hash_outside_u(file, text.size() - 7, 8); });
  expect_error(ExitCode::kCorrupt, {"a: expected"}, [&] { hash_outside_u(file, 7, UINT64_MAX - 3); });
}

// A cache that is right in all its hashes, but whose maker stored a NaN.
void write_shard_with_nan(const fs::path& path, const CacheLayout& layout) {
  const bool is_half = layout.key.dtype == Dtype::kFloat16;
  const std::size_t element = is_half ? 2 : 4, record = 12 * element;
  const storage::H5Type type = is_half ? storage::H5Type::kF16 : storage::H5Type::kF32;
  const fs::path good_path = path.string() + ".good";
  fs::rename(path, good_path);
  const storage::H5File good = storage::H5File::open(good_path);
  std::vector<std::byte> u(13 * record);
  good.read_rows("u", type, 0, 13, u);
  const std::uint32_t nan = is_half ? 0x7e01 : 0x7fc00001;
  std::memcpy(u.data() + 5 * record + 8 * element, &nan, element);  // little-endian
  const auto index = good.read_all<std::int64_t>("index", storage::H5Type::kI64);
  auto hashes = good.read_all<std::uint64_t>("hash", storage::H5Type::kU64);
  hashes[5] = storage::hash64({u.data() + 5 * record, record});
  storage::H5File bad = storage::H5File::create(path);
  storage::Hasher hasher;
  for (const char* name : {"key", "groups", "moments"}) {
    const std::string text = good.string_attribute(name);
    hasher.update(storage::as_bytes(text.c_str(), text.size() + 1));
    bad.set_attribute(name, text);
  }
  hasher.update(storage::as_bytes(index.data(), index.size()));
  hasher.update(storage::as_bytes(hashes.data(), hashes.size()));
  bad.set_attribute("content_hash", hasher.digest());
  bad.set_attribute("format", good.string_attribute("format"));
  for (const char* name : {"version", "shard", "num_shards"}) bad.set_attribute(name, good.int_attribute(name));
  bad.write("index", storage::H5Type::kI64, {13}, storage::as_bytes(index.data(), index.size()));
  bad.write("hash", storage::H5Type::kU64, {13}, storage::as_bytes(hashes.data(), hashes.size()));
  bad.write("u", type, {13, 2, 6}, u);
  bad.close_durable();
}

TEST(HostileCacheValues, ANanWithTheRightHashIsRefused) {
  for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16}) {
    const TempFolder folder;
    CacheLayout layout = small_layout(dtype);
    layout.num_shards = 1;
    const auto [index, u] = shard_content(layout, 0);
    write_shard(folder.path(), layout, 0, index, u);
    write_shard_with_nan(folder / shard_name(0, 1), layout);
    publish_cache(folder.path(), layout);
    const LatentCache cache = LatentCache::open(folder.path());
    const std::vector<std::int64_t> position = {5}, draw = {1};
    std::vector<float> out(6);
    expect_error(ExitCode::kCorrupt, {shard_name(0, 1), "record 5", "image 1015", "finite"},
        [&] { cache.read(position, draw, out); });
    expect_error(ExitCode::kCorrupt, {"record 5", "finite"}, [&] { cache.verify({}); });
  }
}

}  // namespace
}  // namespace hebm::data::test
