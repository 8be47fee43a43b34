#include "storage/files.h"
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <array>
#include <span>
#include <string>
#include <utility>
#include "storage/hash.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

std::size_t num_entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(Files, AtomicWriteReplacesAndLeavesNothingElse) {
  const TempFolder folder;
  write_file_atomic(folder / "a", "first");
  write_file_atomic(folder / "a", std::string("second\0!", 8));
  EXPECT_EQ(read_file(folder / "a"), std::string("second\0!", 8));
  EXPECT_EQ(num_entries(folder.path()), 1u);
}

TEST(Files, AtomicWriteThatFailsLeavesTheOldFile) {
  const TempFolder folder;
  write_file_atomic(folder / "a", "old");
  {
    const FileSizeLimit limit(1000);
    expect_error(
        ExitCode::kRuntime, {"write failed"}, [&] { write_file_atomic(folder / "a", std::string(5000, 'x')); });
  }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(num_entries(folder.path()), 1u);
  create_folders(folder / "b" / "c");
  expect_error(ExitCode::kRuntime, {}, [&] { write_file_atomic(folder / "b", "x"); });  // a folder is in the way
  expect_error(ExitCode::kRuntime, {}, [&] { write_file_atomic(folder / "absent" / "a", "x"); });
  EXPECT_EQ(num_entries(folder.path()), 2u);
}

TEST(Files, ReadRefusesLargeMissingAndIrregularFiles) {
  const TempFolder folder;
  write_file_atomic(folder / "a", std::string(100, 'x'));
  EXPECT_EQ(read_file(folder / "a", 100).size(), 100u);
  expect_error(ExitCode::kRuntime, {"100 bytes, expected at most 99"}, [&] { read_file(folder / "a", 99); });
  expect_error(ExitCode::kRuntime, {"No such file"}, [&] { read_file(folder / "b"); });
  expect_error(ExitCode::kRuntime, {}, [&] { read_file(folder.path()); });
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error(ExitCode::kRuntime, {"regular file"}, [&] { read_file(folder / "pipe"); });  // and does not hang
  fs::create_symlink(folder / "a", folder / "link");
  EXPECT_EQ(read_file(folder / "link").size(), 100u);
  expect_error(ExitCode::kRuntime, {}, [&] { ReadOnlyFile(folder / "link", Links::kRefuse); });
}

TEST(Files, ReadAtReadsExactlyOrSaysWhereTheFileEnds) {
  const TempFolder folder;
  write_file_atomic(folder / "a", "0123456789");
  const ReadOnlyFile file(folder / "a");
  std::array<std::byte, 4> out{};
  file.read_at(6, out);
  EXPECT_EQ(static_cast<char>(out[0]), '6');
  EXPECT_EQ(static_cast<char>(out[3]), '9');
  expect_error(ExitCode::kCorrupt, {"ends at byte 10, expected 1 more"}, [&] { file.read_at(7, out); });
}

TEST(Files, BlocksAreTheBytesInOrder) {
  const TempFolder folder;
  std::string content((std::size_t{4} << 20) + 5, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i % 251);
  write_file_atomic(folder / "a", content);
  const ReadOnlyFile file(folder / "a");
  EXPECT_EQ(file.text(250, 3), content.substr(250, 3));
  for (const auto& [from, to] :
      {std::pair<std::size_t, std::size_t>{0, content.size()}, {3, content.size() - 1}, {7, 12}, {9, 9}}) {
    std::string read;
    file.read_blocks(from, to, [&](std::span<const std::byte> block) {
      read.append(reinterpret_cast<const char*>(block.data()), block.size());
    });
    EXPECT_EQ(hash_text(read), hash_text(content.substr(from, to - from))) << from << " to " << to;
  }
  expect_error(ExitCode::kCorrupt, {"the file ends"},
      [&] { file.read_blocks(9, content.size() + 1, [](std::span<const std::byte>) {}); });
}

TEST(Files, HashedWriterHashesWhatItWroteAndCleansUp) {
  const TempFolder folder;
  {
    HashedFileWriter writer(folder / "a");
    writer.write(as_bytes("hello ", 6));
    writer.write(as_bytes("world", 5));
    const auto result = writer.close_durable();
    EXPECT_EQ(result.size, 11u);
    EXPECT_EQ(result.hash, hash_text("hello world"));
  }
  EXPECT_EQ(read_file(folder / "a"), "hello world");
  expect_error(ExitCode::kRuntime, {"never overwritten"}, [&] { HashedFileWriter(folder / "a"); });
  EXPECT_EQ(read_file(folder / "a"), "hello world");
  { HashedFileWriter abandoned(folder / "b"); }
  EXPECT_FALSE(fs::exists(folder / "b"));
}

TEST(Files, AppendTakesATornLineBack) {
  const TempFolder folder;
  AppendFile file(folder / "log");
  file.append("whole\n");
  {
    const FileSizeLimit limit(20);
    expect_error(ExitCode::kRuntime, {}, [&] { file.append(std::string(100, 'x') + "\n"); });
  }
  EXPECT_EQ(read_file(folder / "log"), "whole\n");
  file.append("next\n");
  file.sync();
  EXPECT_EQ(read_file(folder / "log"), "whole\nnext\n");
}

TEST(Files, FoldersNamesAndSpace) {
  const TempFolder folder;
  create_folders(folder / "x/y/z");
  create_folders(folder / "x/y/z");
  EXPECT_TRUE(fs::is_directory(folder / "x/y/z"));
  expect_error(ExitCode::kRuntime, {}, [&] { create_new_folder(folder / "x"); });
  rename_durable(folder / "x/y/z", folder / "z");
  EXPECT_TRUE(fs::is_directory(folder / "z"));
  remove_tree(folder / "x");
  remove_tree(folder / "x");
  EXPECT_EQ(num_entries(folder.path()), 1u);
  EXPECT_GT(free_bytes(folder / "not/yet/there"), 0u);
  const std::string suffix = random_suffix();
  EXPECT_EQ(suffix.size(), 16u);
  EXPECT_NE(suffix, random_suffix());
}

}  // namespace
}  // namespace hebm::storage::test
