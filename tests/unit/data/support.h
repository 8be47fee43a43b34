// What the tests of data/ share: a small latent cache.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>
#include "../support.h"
#include "data/latent_cache.h"

namespace hebm::data::test {

using hebm::test::expect_error;
using hebm::test::names_in;
using hebm::test::replace_in_file;
using hebm::test::slurp;
using hebm::test::spill;
using hebm::test::TempFolder;

inline CacheLayout small_layout(Dtype dtype = Dtype::kFloat32) {
  CacheLayout layout;
  layout.key.images_hash = "0123456789abcdef0123456789abcdef";
  layout.key.preprocessing = "none";
  layout.key.vae_hash = "fedcba9876543210fedcba9876543210";
  layout.key.posterior_rule = "residual";
  layout.key.dtype = dtype;
  layout.key.draws = 2;
  layout.key.seed = 18446744073709551615ull;
  layout.key.num_images = 13;
  layout.groups = {{2, 1, 1}, {1, 2, 2}};
  layout.num_shards = 3;
  return layout;
}

// Latent e of draw r of the image at a list position: exact in float16, and different everywhere.
inline float latent_value(std::int64_t position, std::int64_t draw, std::int64_t element) {
  return static_cast<float>(position * 100 + draw * 10 + element) * 0.25f * (element % 2 == 0 ? 1.0f : -1.0f);
}

// The list's images are 1000, 1003, 1006, ...
inline std::int64_t image_at(std::int64_t position) { return 1000 + 3 * position; }

inline std::pair<std::vector<std::int64_t>, std::vector<float>> shard_content(
    const CacheLayout& layout, std::int64_t shard) {
  const auto [begin, end] = shard_range(shard, layout.num_shards, layout.key.num_images);
  std::vector<std::int64_t> index;
  std::vector<float> u;
  for (std::int64_t p = begin; p < end; ++p) {
    index.push_back(image_at(p));
    for (std::int64_t r = 0; r < layout.key.draws; ++r)
      for (std::int64_t e = 0; e < layout.dim(); ++e) u.push_back(latent_value(p, r, e));
  }
  return {index, u};
}

inline void write_cache(const std::filesystem::path& folder, const CacheLayout& layout) {
  for (std::int64_t s = 0; s < layout.num_shards; ++s) {
    const auto [index, u] = shard_content(layout, s);
    write_shard(folder, layout, s, index, u);
  }
  publish_cache(folder, layout);
}

}  // namespace hebm::data::test
