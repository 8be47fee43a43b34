#include "storage/hdf5.h"
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>
#include <cstdlib>
#include <cstring>
#include <thread>
#include "storage/hash.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

constexpr H5Type kAllTypes[] = {
    H5Type::kU8, H5Type::kI32, H5Type::kI64, H5Type::kU64, H5Type::kF16, H5Type::kF32, H5Type::kF64};

// Values that differ in every byte, so that a wrong type, order or offset cannot go unseen.
std::vector<std::byte> pattern(std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>((i * 37 + i / 251 + 11) & 0xff);
  return out;
}

std::string dataset_name(H5Type type) { return "group/" + std::string(name_of(type)); }

TEST(Hdf5, EveryTypeComesBackAndLiesAtItsOffset) {
  const TempFolder folder;
  const std::vector<std::uint64_t> shape = {5, 3, 2};
  {
    H5File file = H5File::create(folder / "a.h5");
    for (const H5Type type : kAllTypes) file.write(dataset_name(type), type, shape, pattern(30 * size_of(type)));
    file.close_durable();
  }
  const H5File file = H5File::open(folder / "a.h5");
  EXPECT_EQ(file.names().size(), std::size(kAllTypes));
  const std::string raw = read_file(folder / "a.h5");
  for (const H5Type type : kAllTypes) {
    const std::string name = dataset_name(type);
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

TEST(Hdf5, RowsWrittenOutOfOrderAndTheOffsetIsKnownFromTheStart) {
  const TempFolder folder;
  H5File file = H5File::create(folder / "a.h5");
  file.create_dataset("u", H5Type::kI64, {4, 2});
  const H5Info before = file.info("u");
  EXPECT_GT(before.file_offset, 0u);
  const std::vector<std::int64_t> late = {4, 5, 6, 7}, early = {0, 1, 2, 3};
  file.write_rows("u", H5Type::kI64, 2, 2, as_bytes(late.data(), 4));
  file.write_rows("u", H5Type::kI64, 0, 2, as_bytes(early.data(), 4));
  file.close_durable();
  const H5File again = H5File::open(folder / "a.h5");
  EXPECT_EQ(again.info("u").file_offset, before.file_offset);
  EXPECT_EQ(again.read_all<std::int64_t>("u", H5Type::kI64), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(Hdf5, ScalarAndEmptyDatasets) {
  const TempFolder folder;
  const double value = 2.5;
  {
    H5File file = H5File::create(folder / "a.h5");
    file.write("scalar", H5Type::kF64, {}, as_bytes(&value, 1));
    file.write("empty", H5Type::kF32, {0, 7}, {});
    file.close_durable();
  }
  const H5File file = H5File::open(folder / "a.h5");
  EXPECT_EQ(file.read_all<double>("scalar", H5Type::kF64), std::vector<double>{2.5});
  EXPECT_TRUE(file.info("scalar").shape.empty());
  EXPECT_TRUE(file.read_all<float>("empty", H5Type::kF32).empty());
  EXPECT_EQ(file.info("empty").shape, (std::vector<std::uint64_t>{0, 7}));
}

TEST(Hdf5, AttributesUpToOneMebibyte) {
  const TempFolder folder;
  const std::string large(std::size_t{1} << 20, 'x');
  {
    H5File file = H5File::create(folder / "a.h5");
    file.set_attribute("source", "Fashion-MNIST, größer");
    file.set_attribute("source", "second");  // replaces
    file.set_attribute("none", "");
    file.set_attribute("large", large);
    file.set_attribute("version", std::int64_t{-7000000000});
    expect_error(ExitCode::kRuntime, {}, [&] { file.set_attribute("larger", large + "x"); });
    expect_error(ExitCode::kRuntime, {}, [&] { file.set_attribute("zero", std::string("a\0b", 3)); });
    file.close_durable();
  }
  const H5File file = H5File::open(folder / "a.h5");
  EXPECT_EQ(file.string_attribute("source"), "second");
  EXPECT_EQ(file.string_attribute("none"), "");
  EXPECT_EQ(file.string_attribute("large"), large);
  EXPECT_EQ(file.int_attribute("version"), -7000000000);
  EXPECT_FALSE(file.has_attribute("larger"));
  expect_error(ExitCode::kCorrupt, {"\"absent\": is missing"}, [&] { file.string_attribute("absent"); });
  expect_error(ExitCode::kCorrupt, {"64-bit integer"}, [&] { file.int_attribute("source"); });
  expect_error(ExitCode::kCorrupt, {"fixed length"}, [&] { file.string_attribute("version"); });
}

TEST(Hdf5, WrongQuestionsAreErrors) {
  const TempFolder folder;
  const std::vector<float> values(6, 1.f);
  H5File file = H5File::create(folder / "a.h5");
  file.write("u", H5Type::kF32, {3, 2}, as_bytes(values.data(), 6));
  expect_error(ExitCode::kRuntime, {"exists already"}, [&] { file.create_dataset("u", H5Type::kU8, {1}); });
  for (const char* name : {"", "/u", "a//b", "a/", "..", "a/../b", "tab\t"}) {
    expect_error(ExitCode::kRuntime, {}, [&] { file.create_dataset(name, H5Type::kU8, {1}); });
  }
  expect_error(ExitCode::kRuntime, {}, [&] { file.create_dataset("big", H5Type::kF64, {1ull << 40, 1ull << 40}); });
  expect_error(
      ExitCode::kRuntime, {}, [&] { file.create_dataset("rank", H5Type::kU8, std::vector<std::uint64_t>(9, 1)); });
  expect_error(ExitCode::kRuntime, {}, [&] { file.write_rows("u", H5Type::kF32, 2, 2, as_bytes(values.data(), 4)); });
  file.close_durable();
  expect_error(ExitCode::kRuntime, {}, [&] { file.close_durable(); });
  expect_error(ExitCode::kRuntime, {}, [&] { H5File::create(folder / "a.h5"); });  // O_EXCL

  H5File read = H5File::open(folder / "a.h5");
  std::vector<std::byte> out(8);
  expect_error(ExitCode::kCorrupt, {"has no dataset \"v\"; it has: u"}, [&] { read.info("v"); });
  expect_error(ExitCode::kCorrupt, {"holds f32, expected i32"}, [&] { read.read_rows("u", H5Type::kI32, 0, 1, out); });
  expect_error(ExitCode::kCorrupt, {}, [&] { read.read_rows("u", H5Type::kF32, 3, 1, out); });
  expect_error(ExitCode::kCorrupt, {}, [&] { read.read_rows("u", H5Type::kF32, ~0ull, 2, out); });
  expect_error(ExitCode::kRuntime, {}, [&] { read.read_rows("u", H5Type::kF32, 0, 2, out); });  // buffer of one row
  expect_error(ExitCode::kRuntime, {}, [&] { read.write("w", H5Type::kU8, {1}, {}); });
}

TEST(Hdf5, MissingFilesAndFoldersAreErrors) {
  const TempFolder folder;
  expect_error(ExitCode::kRuntime, {}, [&] { H5File::open(folder / "absent.h5"); });
  create_folders(folder / "folder.h5");
  expect_error(ExitCode::kRuntime, {}, [&] { H5File::open(folder / "folder.h5"); });
}

// R23: an exclusive lock of somebody else does not keep us from reading, for we ask for none.
TEST(Hdf5, NoFileLocks) {
  const TempFolder folder;
  const std::uint8_t value = 7;
  {
    H5File file = H5File::create(folder / "a.h5");
    file.write("x", H5Type::kU8, {1}, as_bytes(&value, 1));
    file.close_durable();
  }
  const int fd = ::open((folder / "a.h5").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(H5File::open(folder / "a.h5").read_all<std::uint8_t>("x", H5Type::kU8), std::vector<std::uint8_t>{7});
  EXPECT_EQ(::close(fd), 0);
}

// R5: the write that does not fit is an Error, the library can still be used, and the process ends
// as it should.
TEST(Hdf5DeathTest, FullDisk) {
  const TempFolder folder;
  const std::vector<std::byte> content = pattern(1 << 20);
  const auto fill_disk = [&] {
    {
      const FileSizeLimit limit(100000);
      H5File file = H5File::create(folder / "a.h5");
      expect_error(ExitCode::kRuntime, {"a.h5"}, [&] {
        file.write("x", H5Type::kU8, {content.size()}, content);
        file.close_durable();
      });
    }
    H5File file = H5File::create(folder / "b.h5");
    file.write("x", H5Type::kU8, {content.size()}, content);
    file.close_durable();
    const bool whole = H5File::open(folder / "b.h5").info("x").bytes == content.size();
    remove_tree(folder.path());  // exit() runs no destructor of ours
    std::exit(whole && !testing::Test::HasFailure() ? 75 : 1);
  };
  // In a fresh process: what libhdf5 does at exit depends on who called it first.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(fill_disk(), testing::ExitedWithCode(75), "");
}

TEST(Hdf5, QuietAndUsableFromOtherThreads) {
  const TempFolder folder;
  write_file_atomic(folder / "not.h5", "hello");
  testing::internal::CaptureStderr();
  std::thread([&] { expect_error(ExitCode::kCorrupt, {}, [&] { H5File::open(folder / "not.h5"); }); }).join();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace hebm::storage::test
