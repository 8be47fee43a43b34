#include "storage/chunk_file.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "../support.h"
#include "base/random.h"

namespace hebm::storage {
namespace {

using test::slurp;
using test::spill;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const nlohmann::json kSettings = {{"sample.seed", 1}, {"vae_hash", "abc"}};

class ChunkFileTest : public ::testing::Test {
 protected:
  // Keeps chunks first .. last - 1 of both passes.
  void keep(std::int64_t first, std::int64_t last, const nlohmann::json& settings = kSettings) {
    ChunkFile file = open(settings);
    for (const std::string pass : {"a", "b"}) {
      file.begin(pass);
      for (std::int64_t n = first; n < last; ++n) file.keep(n, bytes(pass, n), 0.5);
    }
    file.sync();
  }
  ChunkFile open(const nlohmann::json& settings = kSettings) {
    return {path_, settings, [this](const std::string& line) { notes_.push_back(line); }};
  }
  static std::string bytes(const std::string& pass, std::int64_t number) {
    return pass + std::string(static_cast<std::size_t>(100 * number), 'x') + std::to_string(number);
  }
  // Chunks of a pass from 0 on; each must have its bytes.
  static std::int64_t found(ChunkFile& file, const std::string& pass) {
    file.begin(pass);
    for (std::int64_t n = 0;; ++n) {
      const auto got = file.find(n);
      if (!got) return n;
      EXPECT_EQ(*got, bytes(pass, n));
    }
  }
  test::TempFolder folder_;
  fs::path path_ = folder_ / "work/samples-diffusion/chunks";
  std::vector<std::string> notes_;
};

TEST_F(ChunkFileTest, IsReadBack) {
  {
    ChunkFile none = open();
    EXPECT_EQ(none.count(), 0);
    EXPECT_EQ(found(none, "a"), 0);
  }
  EXPECT_FALSE(fs::exists(path_)) << "nothing is written before a chunk is kept";
  EXPECT_EQ(ChunkFile::count_in(path_), 0);
  keep(0, 3);
  keep(3, 5);
  EXPECT_EQ(ChunkFile::count_in(path_), 10);
  ChunkFile file = open();
  EXPECT_EQ(file.count(), 10);
  EXPECT_DOUBLE_EQ(file.seconds(), 5.0);
  EXPECT_EQ(found(file, "b"), 5);
  EXPECT_EQ(found(file, "a"), 5);
  EXPECT_EQ(found(file, "a"), 0) << "a second pass of that name is another one";
  EXPECT_THAT(notes_, IsEmpty());
  file.forget();
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(ChunkFileTest, WhatAKillCutOffIsTakenAway) {
  keep(0, 4);
  const std::string whole = slurp(path_);
  for (std::size_t size = 0; size < whole.size(); size += 37) {
    spill(path_, whole.substr(0, size));
    std::int64_t before = 0;
    {
      ChunkFile file = open();
      before = file.count();
      EXPECT_EQ(ChunkFile::count_in(path_), before);
      EXPECT_LT(before, 8);
      file.begin("c");
      file.keep(0, bytes("c", 0), 0.5);
    }
    ChunkFile file = open();
    EXPECT_EQ(file.count(), before + 1) << "cut at " << size;
    EXPECT_EQ(found(file, "c"), 1);
    EXPECT_EQ(found(file, "a") + found(file, "b"), before);
  }
}

TEST_F(ChunkFileTest, AFlippedBitIsNeverReadAsAChunk) {
  keep(0, 4);
  const std::string whole = slurp(path_);
  std::int64_t lost = 0;
  for (std::uint32_t trial = 0; trial < 1000; ++trial) {
    const std::uint32_t bit =
        draw_below(static_cast<std::uint32_t>(8 * whole.size()), {1, 0, Purpose::kTest}, {.item = trial});
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    spill(path_, damaged);
    ChunkFile file = open();
    lost += 8 - found(file, "a") - found(file, "b");  // which compares every byte
    if (HasFailure()) FAIL() << "bit " << bit;
  }
  EXPECT_GE(lost, 1000) << "each flip was noticed";
  EXPECT_THAT(notes_, ::testing::Contains(HasSubstr("is damaged")));
}

TEST_F(ChunkFileTest, OneThatIsDamagedIsMadeAgainAndCountsOnce) {
  keep(0, 2);
  std::string text = slurp(path_);
  text[text.find("ax")] = 'A';
  spill(path_, text);
  {
    ChunkFile file = open();
    EXPECT_EQ(found(file, "a"), 1);
    file.keep(1, bytes("a", 1), 0.5);
  }
  ChunkFile file = open();
  EXPECT_EQ(found(file, "a"), 2);
  EXPECT_EQ(file.count(), 4);
}

TEST_F(ChunkFileTest, OtherSettingsAreNamedAndReplaced) {
  keep(0, 2);
  nlohmann::json other = kSettings;
  other["sample.seed"] = 2;
  {
    ChunkFile file = open(other);
    EXPECT_TRUE(file.other_settings());
    EXPECT_THAT(file.difference(), HasSubstr("sample.seed: the file has 1, you ask for 2"));
    EXPECT_EQ(file.count(), 0);
    file.forget();
    EXPECT_TRUE(fs::exists(path_)) << "chunks of others are not ours to remove";
    EXPECT_EQ(found(file, "a"), 0);
    file.keep(0, bytes("a", 0), 0.5);
  }
  ChunkFile file = open(other);
  EXPECT_EQ(file.count(), 1);
  EXPECT_EQ(file.difference(), "");
}

TEST_F(ChunkFileTest, AnotherVersionsChunksAreMadeAnew) {
  keep(0, 2);
  const nlohmann::json more = {{"sample.seed", 1}};  // asks for less than the file has
  ChunkFile file = open(more);
  EXPECT_FALSE(file.other_settings());
  EXPECT_THAT(file.difference(), HasSubstr("version"));
  EXPECT_EQ(file.count(), 0);
}

TEST_F(ChunkFileTest, AFullDiskIsAWarning) {
  spill(folder_ / "work", "a file where the folder should be");
  ChunkFile file = open();
  file.begin("a");
  file.keep(0, "x", 1);
  file.keep(1, "y", 1);
  file.sync();
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("nothing is kept for a later start")));
}

}  // namespace
}  // namespace hebm::storage
