#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <thread>

#include "storage/hash.h"
#include "storage/hdf5.h"
#include "temp_folder.h"

namespace hebm::storage::test {
namespace {

// Values that differ in every byte, so that a wrong type, order or offset cannot go unseen.
std::vector<std::byte> pattern(std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>((i * 37 + i / 251 + 11) & 0xff);
  return out;
}

TEST(Hdf5, EveryTypeComesBackAndLiesAtItsOffset) {
  const TempFolder folder;
  const std::vector<H5Type> types = {H5Type::kU8,  H5Type::kI32, H5Type::kI64, H5Type::kU64,
                                     H5Type::kF16, H5Type::kF32, H5Type::kF64};
  const std::vector<std::uint64_t> shape = {5, 3, 2};
  {
    H5File file = H5File::create(folder / "a.h5");
    for (const H5Type type : types) {
      file.write(std::string("group/") + std::string(name_of(type)), type, shape, pattern(30 * size_of(type)));
    }
    file.close_durable();
  }
  const H5File file = H5File::open(folder / "a.h5");
  EXPECT_EQ(file.names().size(), types.size());
  const std::string raw = read_file(folder / "a.h5");
  for (const H5Type type : types) {
    const std::string name = "group/" + std::string(name_of(type));
    const std::vector<std::byte> expected = pattern(30 * size_of(type));
    const H5Info info = file.info(name);
    EXPECT_EQ(info.type, type);
    EXPECT_EQ(info.shape, shape);
    ASSERT_EQ(info.bytes, expected.size());
    std::vector<std::byte> got(2 * 6 * size_of(type));
    file.read_rows(name, type, 3, 2, got);
    EXPECT_EQ(hash_bytes(got), hash_bytes(std::span(expected).subspan(3 * 6 * size_of(type)))) << name;
    ASSERT_LE(info.file_offset + info.bytes, raw.size());
    EXPECT_EQ(0, std::memcmp(raw.data() + info.file_offset, expected.data(), expected.size())) << name;
  }
}

}  // namespace
}  // namespace hebm::storage::test
