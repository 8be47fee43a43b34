#include "data/cache_layout.h"
#include <gtest/gtest.h>
#include "support.h"

namespace hebm::data::test {
namespace {

TEST(CacheShards, NamesAndRanges) {
  EXPECT_EQ(shard_name(42, 128), "shard-00042-of-00128.h5");
  for (const auto& [images, shards] :
      {std::pair<std::int64_t, std::int64_t>{13, 3}, {60000, 128}, {5, 5}, {std::int64_t{1} << 31, 99999}}) {
    std::int64_t next = 0;
    for (std::int64_t s = 0; s < shards; ++s) {
      const auto [begin, end] = shard_range(s, shards, images);
      EXPECT_EQ(begin, next);
      EXPECT_GE(end - begin, images / shards);
      EXPECT_LE(end - begin, images / shards + 1);
      next = end;
    }
    EXPECT_EQ(next, images);
  }
  expect_error(ExitCode::kRuntime, {"shard range"}, [] { shard_range(3, 3, 13); });
}

TEST(CacheKey, GoesThroughJsonAndNamesDifferences) {
  const CacheKey key = small_layout().key;
  EXPECT_EQ(CacheKey::from_json(key.to_json()).difference(key), "");
  EXPECT_EQ(CacheKey::from_json(nlohmann::json::parse(key.to_json().dump())).difference(key), "");
  CacheKey other = key;
  other.vae_hash = "another";
  other.draws = 3;
  EXPECT_EQ(key.difference(other),
      "draws: expected 2, got 3; vae_hash: expected \"fedcba9876543210fedcba9876543210\", got \"another\"");
  // Each field counts.
  const nlohmann::json json = key.to_json();
  EXPECT_EQ(json.size(), 9u);
  for (const auto& item : json.items()) {
    nlohmann::json changed = json;
    if (item.key() == "dtype")
      changed[item.key()] = "float16";
    else if (item.value().is_string())
      changed[item.key()] = item.value().get<std::string>() + "x";
    else
      changed[item.key()] = 5;
    EXPECT_EQ(key.difference(CacheKey::from_json(changed)).find(item.key() + ": expected"), 0u) << item.key();
  }
}

TEST(CacheKey, HostileJsonIsRefused) {
  const nlohmann::json good = small_layout().key.to_json();
  const auto refused = [&](const char* field, const nlohmann::json& value) {
    nlohmann::json bad = good;
    bad[field] = value;
    expect_error(ExitCode::kCorrupt, {"cache key", field}, [&] { CacheKey::from_json(bad); });
  };
  refused("seed", -1);
  refused("seed", 1.5);
  refused("seed", "1");
  refused("draws", 0);
  refused("draws", 1000000);
  refused("draws", 18446744073709551615ull);
  refused("num_images", std::int64_t{1} << 40);
  refused("num_images", 1e3);
  refused("vae_hash", 5);
  refused("vae_hash", std::string(5000, 'a'));
  refused("dtype", nullptr);
  refused("dtype", "float64");
  refused("unheard_of", 1);
  nlohmann::json missing = good;
  missing.erase("split");
  expect_error(ExitCode::kCorrupt, {"split"}, [&] { CacheKey::from_json(missing); });
  expect_error(ExitCode::kCorrupt, {"object"}, [&] { CacheKey::from_json(nlohmann::json::array()); });
}

}  // namespace
}  // namespace hebm::data::test
