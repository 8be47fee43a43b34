#include "data/shard_file.h"
#include <gtest/gtest.h>
#include "support.h"

namespace hebm::data::test {
namespace {

TEST(ShardHandles, KeepNoMoreOpenThanTheyMay) {
  const TempFolder folder;
  const auto descriptors = [] {
    std::int64_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
  };
  for (int s = 0; s < 20; ++s) spill(folder / std::to_string(s), std::string(1, static_cast<char>('a' + s)));
  const std::int64_t before = descriptors();
  ShardHandles handles(20, 3);
  const auto held = handles.get(0, folder / "0");
  for (std::size_t i = 0; i < 200; ++i) {
    const std::size_t s = i * 7 % 20;
    std::byte byte{};
    handles.get(s, folder / std::to_string(s))->read_at(0, {&byte, 1});
    ASSERT_EQ(byte, static_cast<std::byte>('a' + s));
    ASSERT_LE(descriptors() - before, 4);  // three and the one that is held
  }
  std::byte byte{};
  held->read_at(0, {&byte, 1});
  EXPECT_EQ(byte, std::byte{'a'});
}

}  // namespace
}  // namespace hebm::data::test
