#include "data/latent_cache.h"
#include <gtest/gtest.h>
#include <cmath>
#include <limits>
#include "support.h"

namespace hebm::data::test {
namespace {

class CacheFiles : public ::testing::TestWithParam<Dtype> {
 protected:
  TempFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Types, CacheFiles, ::testing::Values(Dtype::kFloat32, Dtype::kFloat16));

TEST_P(CacheFiles, EveryDrawComesBack) {
  const CacheLayout layout = small_layout(GetParam());
  write_cache(folder_.path(), layout);
  EXPECT_EQ(names_in(folder_.path()), (std::vector<std::string>{"index.json", "shard-00000-of-00003.h5",
                                          "shard-00001-of-00003.h5", "shard-00002-of-00003.h5"}));
  const LatentCache cache = LatentCache::open(folder_.path());
  EXPECT_EQ(cache.num_images(), 13);
  EXPECT_EQ(cache.layout().groups, layout.groups);
  EXPECT_EQ(cache.layout().key.difference(layout.key), "");
  EXPECT_EQ(cache.stored_bytes(), 13u * 2 * 6 * bytes_of(layout.key.dtype));
  cache.expect(layout.key);
  for (int round = 0; round < 2; ++round) {  // first touch, then not
    std::vector<std::int64_t> positions, draws;
    for (std::int64_t i = 0; i < 26; ++i) {
      positions.push_back(i * 5 % 13);
      draws.push_back(i % 2);
    }
    std::vector<float> u(26 * 6);
    cache.read(positions, draws, u);
    for (std::size_t i = 0; i < 26; ++i)
      for (std::int64_t e = 0; e < 6; ++e)
        ASSERT_EQ(u[i * 6 + static_cast<std::size_t>(e)], latent_value(positions[i], draws[i], e));
  }
  for (std::int64_t p = 0; p < 13; ++p) EXPECT_EQ(cache.global_index(p), image_at(p));
  std::vector<std::int64_t> done;
  cache.verify([&](std::int64_t d, std::int64_t total) {
    EXPECT_EQ(total, 13);
    done.push_back(d);
  });
  EXPECT_EQ(done.back(), 13);
  cache.verify({});
  std::vector<float> one(6);
  const std::vector<std::int64_t> zero = {0}, thirteen = {13}, two = {2}, below = {-1};
  expect_error(ExitCode::kRuntime, {"position 13"}, [&] { cache.read(thirteen, zero, one); });
  expect_error(ExitCode::kRuntime, {"position -1"}, [&] { cache.read(below, zero, one); });
  expect_error(ExitCode::kRuntime, {"draw 2"}, [&] { cache.read(zero, two, one); });
  expect_error(ExitCode::kRuntime, {"6 floats each"}, [&] { cache.read(zero, zero, std::span(one).first(5)); });
  expect_error(ExitCode::kRuntime, {"13"}, [&] { cache.global_index(13); });
}

TEST_P(CacheFiles, MomentsAreThoseOfAllLatents) {
  const CacheLayout layout = small_layout(GetParam());
  write_cache(folder_.path(), layout);
  const LatentCache cache = LatentCache::open(folder_.path());
  const auto moments = cache.moments();
  ASSERT_EQ(moments.size(), 2u);
  std::int64_t at = 0;
  for (std::size_t g = 0; g < 2; ++g) {
    const std::int64_t size = layout.groups[g].size();
    double sum = 0, squares = 0;
    for (std::int64_t p = 0; p < 13; ++p)
      for (std::int64_t r = 0; r < 2; ++r)
        for (std::int64_t e = at; e < at + size; ++e) {
          sum += latent_value(p, r, e);
          squares += std::pow(latent_value(p, r, e), 2);
        }
    const double n = static_cast<double>(13 * 2 * size), mean = sum / n, variance = squares / n - mean * mean;
    EXPECT_EQ(moments[g].count, 13 * 2 * size);
    EXPECT_NEAR(moments[g].mean, mean, 1e-12 * std::sqrt(squares / n));
    EXPECT_NEAR(moments[g].variance, variance, 1e-12 * squares / n);  // a few roundings of 2^-53
    at += size;
  }
  EXPECT_EQ(cache.max_abs_u(), std::abs(latent_value(12, 1, 5)));
  EXPECT_EQ(cache.max_rounding_error(), 0.0);
}

TEST_P(CacheFiles, BuildingIsResumableByShard) {
  const CacheLayout layout = small_layout(GetParam());
  expect_error(ExitCode::kCorrupt, {"shard-00000-of-00003.h5", "run encode again"},
      [&] { publish_cache(folder_.path(), layout); });
  const auto [index, u] = shard_content(layout, 1);
  EXPECT_FALSE(shard_done(folder_.path(), layout, 1));
  const ShardMoments report = write_shard(folder_.path(), layout, 1, index, u);
  EXPECT_EQ(report.num_records, 4);
  EXPECT_TRUE(shard_done(folder_.path(), layout, 1));
  EXPECT_FALSE(shard_done(folder_.path(), layout, 0));
  const auto write_again = [&, &index = index, &u = u] { write_shard(folder_.path(), layout, 1, index, u); };
  expect_error(ExitCode::kRuntime, {"shard-00001-of-00003.h5", "exists"}, write_again);
  expect_error(ExitCode::kCorrupt, {"index.json", "run encode again"}, [&] { LatentCache::open(folder_.path()); });
  for (const std::int64_t s : {0, 2}) {
    const auto [i, v] = shard_content(layout, s);
    write_shard(folder_.path(), layout, s, i, v);
  }
  publish_cache(folder_.path(), layout);
  publish_cache(folder_.path(), layout);  // no harm
  LatentCache::open(folder_.path()).verify({});
}

// --- what cannot be stored ---

class CacheValues : public ::testing::Test {
 protected:
  // Writes shard 1 with element `at` of its latents replaced.
  ShardMoments write_with(Dtype dtype, std::size_t at, float value) {
    const CacheLayout layout = small_layout(dtype);
    auto [index, u] = shard_content(layout, 1);
    u[at] = value;
    return write_shard(folder_.path(), layout, 1, index, u);
  }
  TempFolder folder_;
};

TEST_F(CacheValues, NanAndInfinityAreRefusedByImageAndGroup) {
  // Element 1 * 12 + 6 + 2: second image of the shard (list position 5), draw 1, third latent:
  // group 1.
  for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16})
    for (const float value :
        {std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()})
      expect_error(ExitCode::kCorrupt, {"image 1015", "draw 1", "group 1"}, [&] { write_with(dtype, 20, value); });
  EXPECT_TRUE(names_in(folder_.path()).empty());
}

TEST_F(CacheValues, HalfHasALimit) {
  for (const float value : {60004.0f, -60004.0f, 1e30f})
    expect_error(ExitCode::kCorrupt, {"image 1012", "draw 0", "group 0", "60000", "float32"},
        [&] { write_with(Dtype::kFloat16, 0, value); });
  EXPECT_TRUE(names_in(folder_.path()).empty());
  EXPECT_EQ(write_with(Dtype::kFloat16, 0, -60000.0f).max_abs_u, 60000.0);
}

TEST_F(CacheValues, Float32HasNoLimit) { EXPECT_EQ(write_with(Dtype::kFloat32, 0, 1e30f).max_abs_u, 1e30f); }

TEST_F(CacheValues, TheRoundingErrorIsReported) {
  EXPECT_EQ(write_with(Dtype::kFloat16, 3, 2049.0f).max_rounding_error, 1.0);  // between 2048 and 2050
  std::filesystem::remove(folder_ / shard_name(1, 3));
  EXPECT_EQ(write_with(Dtype::kFloat32, 3, 2049.0f).max_rounding_error, 0.0);
  std::filesystem::remove(folder_ / shard_name(1, 3));
  // 12 bits below the leading one of 0.75 = 1.5 * 2^-1: half of the last place, 2^-12, is the most.
  const ShardMoments report = write_with(Dtype::kFloat16, 3, 0.75f + std::ldexp(1.0f, -12));
  EXPECT_EQ(report.max_rounding_error, std::ldexp(1.0, -12));
}

TEST_F(CacheValues, MomentsAreByGroup) {
  const CacheLayout layout = small_layout();
  const auto [index, u] = shard_content(layout, 2);
  const ShardMoments report = write_shard(folder_.path(), layout, 2, index, u);
  double sum[2] = {0, 0}, squares[2] = {0, 0};  // quarters: exact
  for (std::size_t i = 0; i < u.size(); ++i) {
    sum[i % 6 < 2 ? 0 : 1] += u[i];
    squares[i % 6 < 2 ? 0 : 1] += static_cast<double>(u[i]) * u[i];
  }
  for (std::size_t g = 0; g < 2; ++g) {
    const double count = static_cast<double>(u.size() / 6 * (g == 0 ? 2 : 4));
    EXPECT_EQ(report.mean[g], sum[g] / count);
    EXPECT_EQ(report.second_moment[g], squares[g] / count);
  }
}

TEST_F(CacheValues, SizesAndLayoutsThatDoNotFitAreRefused) {
  const CacheLayout layout = small_layout();
  const auto [index, u] = shard_content(layout, 1);
  const auto refused = [&, &index = index, &u = u](
                           const std::string& what, ExitCode code, const std::function<void(CacheLayout&)>& change) {
    CacheLayout bad = layout;
    change(bad);
    expect_error(code, {what}, [&] { write_shard(folder_.path(), bad, 1, index, u); });
  };
  refused("draws", ExitCode::kUsage, [](CacheLayout& l) { l.key.draws = 0; });
  refused("shards", ExitCode::kUsage, [](CacheLayout& l) { l.num_shards = 14; });
  refused("shards", ExitCode::kUsage, [](CacheLayout& l) { l.num_shards = 0; });
  refused("groups", ExitCode::kUsage, [](CacheLayout& l) { l.groups.clear(); });
  refused("groups", ExitCode::kUsage, [](CacheLayout& l) { l.groups[0].width = 0; });
  refused("groups", ExitCode::kUsage, [](CacheLayout& l) { l.groups.assign(200, {65536, 65536, 65536}); });
  refused("expected 4 images of 24 latents", ExitCode::kRuntime, [](CacheLayout& l) { l.key.draws = 4; });
  refused("got 4 images", ExitCode::kRuntime, [](CacheLayout& l) { l.key.num_images = 20; });
  EXPECT_TRUE(names_in(folder_.path()).empty());
}

}  // namespace
}  // namespace hebm::data::test
