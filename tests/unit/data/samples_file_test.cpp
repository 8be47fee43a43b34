#include "data/samples_file.h"
#include <gtest/gtest.h>
#include <cstdio>
#include <vector>
#include "../support.h"
#include "base/random.h"
#include "storage/hash.h"

namespace hebm::data {
namespace {

void write(const std::filesystem::path& path, const std::string& hash) {
  auto file = storage::H5File::create(path);
  std::vector<std::uint8_t> pixels(5 * 4 * 4);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(3 * i);
  const auto bytes = storage::as_bytes(pixels.data(), pixels.size());
  file.write("images", storage::H5Type::kU8, {5, 1, 4, 4}, bytes);
  file.set_attribute("identity", std::string(R"({"prior_hash": "abc"})"));
  file.set_attribute("seconds", std::string("12.500"));
  if (hash != "none") file.set_attribute("images_hash", hash.empty() ? storage::hash_bytes(bytes) : hash);
  file.close_durable();
}

TEST(VerifySamples, ComparesThePixelsWithTheirHash) {
  const test::TempFolder folder;
  write(folder / "good.h5", "");
  verify_samples(storage::H5File::open(folder / "good.h5"));
  write(folder / "old.h5", "none");
  verify_samples(storage::H5File::open(folder / "old.h5"));
  write(folder / "bad.h5", "0123456789abcdef0123456789abcdef");
  test::expect_error(ExitCode::kCorrupt, {"bad.h5", "images_hash: expected 0123456789abcdef0123456789abcdef, got"},
      [&] { verify_samples(storage::H5File::open(folder / "bad.h5")); });
}

TEST(VerifySamples, EveryFlippedPixelIsNoticed) {
  const test::TempFolder folder;
  write(folder / "good.h5", "");
  const auto start = storage::H5File::open(folder / "good.h5").info("images").file_offset;
  const std::string whole = test::slurp(folder / "good.h5");
  for (std::uint32_t byte = 0; byte < 80; ++byte) {
    std::string damaged = whole;
    damaged[start + byte] = static_cast<char>(damaged[start + byte] ^ (1 << byte % 8));
    test::spill(folder / "bad.h5", damaged);
    test::expect_error(
        ExitCode::kCorrupt, {"bad.h5"}, [&] { verify_samples(storage::H5File::open(folder / "bad.h5")); });
  }
}

// Structure and attributes: libhdf5 has checksums of them in files of ours.
TEST(VerifySamples, AFlipAnywhereElseIsNoticedOrChangesNothing) {
  const test::TempFolder folder;
  write(folder / "good.h5", "");
  const std::string whole = test::slurp(folder / "good.h5");
  std::size_t noticed = 0;
  for (std::size_t byte = 0; byte < whole.size(); ++byte) {
    std::string damaged = whole;
    damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << byte % 8));
    test::spill(folder / "bad.h5", damaged);
    try {
      const auto file = storage::H5File::open(folder / "bad.h5");
      verify_samples(file);
      EXPECT_EQ(file.string_attribute("identity"), R"({"prior_hash": "abc"})") << byte;
      EXPECT_EQ(file.string_attribute("seconds"), "12.500") << byte;
      EXPECT_TRUE(file.has_attribute("images_hash")) << byte;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kCorrupt) << byte << ": " << error.what();
      ++noticed;
    }
  }
  std::printf("%zu of %zu flips are noticed, the others change nothing\n", noticed, whole.size());
  EXPECT_GT(noticed, 80U);
}

}  // namespace
}  // namespace hebm::data
