// What the tests of data/ share: whole files as text, and a small latent cache.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "../temp_folder.h"
#include "base/error.h"
#include "data/latent_cache.h"
#include "storage/files.h"

namespace hebm::data::test {

using hebm::test::TempFolder;

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void spill(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  ASSERT_TRUE(out.flush().good()) << path;
}

inline void replace_in_file(const std::filesystem::path& path, const std::string& from, const std::string& to) {
  std::string text = slurp(path);
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << path << " has no " << from;
  text.replace(at, from.size(), to);
  spill(path, text);
}

// Runs `action`, which must throw an Error of this code whose message has every one of `parts`.
inline void expect_error(ExitCode code, const std::vector<std::string>& parts, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << '"' << part << "\" is not in: " << error.what();
  }
}

inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

inline CacheLayout small_layout(const std::string& dtype = "float32") {
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

inline std::pair<std::vector<std::int64_t>, std::vector<float>> shard_content(const CacheLayout& layout,
                                                                              std::int64_t shard) {
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
