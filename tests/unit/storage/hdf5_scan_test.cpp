// Our parser against libhdf5: what the library wrote in any of its formats is read as it is, and
// damaged bytes end in an Error of kCorrupt, whatever the library would do with them.
#include "storage/hdf5_scan.h"
#include <gtest/gtest.h>
#include <hdf5.h>
#include <chrono>
#include <cstring>
#include <iostream>
#include <random>
#include "storage/hdf5_bytes.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

struct Format {
  const char* name;
  H5F_libver_t low, high;
  bool ordered;  // groups and attributes keep the order of their making
};
constexpr Format kFormats[] = {{"earliest", H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST, false},
    {"v18", H5F_LIBVER_V18, H5F_LIBVER_V18, false}, {"latest", H5F_LIBVER_LATEST, H5F_LIBVER_LATEST, false},
    {"ordered", H5F_LIBVER_V18, H5F_LIBVER_LATEST, true}};

struct Amounts {
  int datasets = 3, attributes = 3, groups = 1;
  std::size_t text = 20;  // bytes of every second attribute
};

void put_attribute(hid_t file, const std::string& name, hid_t type, const void* value) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(file, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(attribute, 0);
  ASSERT_GE(H5Awrite(attribute, type, value), 0);
  ASSERT_GE(H5Aclose(attribute), 0);
  ASSERT_GE(H5Sclose(space), 0);
}

std::string text_of(int i, std::size_t bytes) { return std::string(bytes, static_cast<char>('a' + i % 26)); }

void fill_group(hid_t group, int num_datasets) {
  for (int i = 0; i < num_datasets; ++i) {
    const std::vector<hsize_t> dims = {2, static_cast<hsize_t>(1 + i % 3)};
    const std::vector<float> values(6, static_cast<float>(i));
    const hid_t space = H5Screate_simple(2, dims.data(), nullptr);
    const hid_t dataset =
        H5Dcreate2(group, fmt::format("d{}", i).c_str(), H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
    ASSERT_GE(H5Dclose(dataset), 0);
    ASSERT_GE(H5Sclose(space), 0);
  }
}

void write_by_library(const fs::path& path, const Format& format, const Amounts& amounts) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
  ASSERT_GE(H5Pset_libver_bounds(access, format.low, format.high), 0);
  ASSERT_GE(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), 0);
  const hid_t group_list = H5Pcreate(H5P_GROUP_CREATE);
  if (format.ordered) {
    constexpr unsigned kOrder = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    ASSERT_GE(H5Pset_link_creation_order(creation, kOrder), 0);
    ASSERT_GE(H5Pset_attr_creation_order(creation, kOrder), 0);
    ASSERT_GE(H5Pset_link_creation_order(group_list, kOrder), 0);
  }
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access);
  ASSERT_GE(file, 0);
  fill_group(file, amounts.datasets);
  for (int g = 0; g < amounts.groups; ++g) {
    const hid_t group = H5Gcreate2(file, fmt::format("g{}", g).c_str(), H5P_DEFAULT, group_list, H5P_DEFAULT);
    fill_group(group, amounts.datasets);
    ASSERT_GE(H5Gclose(group), 0);
  }
  for (int i = 0; i < amounts.attributes; ++i) {
    const std::int64_t number = -7000000000 + i;
    const std::string text = text_of(i, amounts.text);
    const hid_t type = H5Tcopy(H5T_C_S1);
    ASSERT_GE(H5Tset_size(type, text.size() + 1), 0);
    const std::string name = fmt::format("a{}", i);
    i % 2 == 0 ? put_attribute(file, name, H5T_STD_I64LE, &number) : put_attribute(file, name, type, text.c_str());
    ASSERT_GE(H5Tclose(type), 0);
  }
  ASSERT_GE(H5Fclose(file), 0);
  for (const hid_t list : {access, creation, group_list}) ASSERT_GE(H5Pclose(list), 0);
}

void expect_content(const fs::path& path, const Amounts& amounts) {
  const H5File file = H5File::open(path);
  EXPECT_EQ(file.names().size(), static_cast<std::size_t>(amounts.datasets * (1 + amounts.groups)));
  for (int g = -1; g < amounts.groups; ++g) {
    for (int i = 0; i < amounts.datasets; ++i) {
      const std::string name = fmt::format("{}d{}", g < 0 ? "" : fmt::format("g{}/", g), i);
      const std::uint64_t columns = static_cast<std::uint64_t>(1 + i % 3);
      ASSERT_EQ(file.info(name).shape, (std::vector<std::uint64_t>{2, columns})) << name;
      ASSERT_EQ(file.read_all<float>(name, H5Type::kF32), std::vector<float>(2 * columns, static_cast<float>(i)));
    }
  }
  for (int i = 0; i < amounts.attributes; ++i) {
    const std::string name = fmt::format("a{}", i);
    if (i % 2 == 0) {
      ASSERT_EQ(file.int_attribute(name), -7000000000 + i);
    } else {
      ASSERT_EQ(file.string_attribute(name), text_of(i, amounts.text));
    }
  }
  EXPECT_FALSE(file.has_attribute(fmt::format("a{}", amounts.attributes)));
}

// Few: in the objects' headers. Many: in heaps and trees of several levels. Texts of more than 64
// KiB lie beside the heap.
constexpr Amounts kAmounts[] = {{}, {0, 0, 0}, {20, 40, 3}, {2500, 3, 0}, {3, 1000, 0, 300}, {3, 9, 0, 70000}};

TEST(Hdf5Scan, EveryFormatOfTheLibraryIsRead) {
  const TempFolder folder;
  for (const Format& format : kFormats) {
    for (const Amounts& amounts : kAmounts) {
      const bool fits = format.low != H5F_LIBVER_EARLIEST || amounts.text < 65536;  // the old format has no larger ones
      if (!fits) continue;
      SCOPED_TRACE(fmt::format("{}, {} datasets, {} attributes of {} bytes", format.name, amounts.datasets,
          amounts.attributes, amounts.text));
      ASSERT_NO_FATAL_FAILURE(write_by_library(folder / "a.h5", format, amounts));
      ASSERT_NO_FATAL_FAILURE(expect_content(folder / "a.h5", amounts));
    }
  }
}

TEST(Hdf5Scan, AUserBlockIsRefused) {
  const TempFolder folder;
  const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  ASSERT_GE(H5Pset_userblock(creation, 512), 0);
  const hid_t file = H5Fcreate((folder / "a.h5").c_str(), H5F_ACC_EXCL, creation, H5P_DEFAULT);
  ASSERT_GE(H5Fclose(file), 0);
  expect_error(ExitCode::kCorrupt, {"file signature not found"}, [&] { H5File::open(folder / "a.h5"); });
}

// Of a run that was killed: the newest format says that its writer did not close it.
TEST(Hdf5Scan, AFileThatIsBeingWrittenIsRefused) {
  const TempFolder folder;
  write_by_library(folder / "a.h5", kFormats[2], {});
  std::string text = slurp(folder / "a.h5");
  text[11] = 5;
  const std::uint32_t sum = detail::lookup3(std::as_bytes(std::span(text)).first(44));
  std::memcpy(text.data() + 44, &sum, 4);
  spill(folder / "a.h5", text);
  expect_error(ExitCode::kCorrupt, {"its writer did not close it"}, [&] { H5File::open(folder / "a.h5"); });
}

// Each crashes libhdf5 1.10.8: a division by zero, a null pointer, a free of what was never set.
TEST(Hdf5Scan, FilesThatCrashTheLibraryEndInAnError) {
  for (const char* name : {"division_by_zero.h5", "null_dereference.h5", "uninitialised_free.h5"}) {
    const fs::path path = fs::path(HEBM_SOURCE_DIR) / "tests/unit/storage/damaged" / name;
    const std::string message = expect_error(
        ExitCode::kCorrupt, {path.string()}, [&] { H5File::open(path).read_all<float>("x", H5Type::kF32); });
    std::cout << message << '\n';
  }
}

// One to three bytes changed, of files of every format: true content, or kCorrupt within bounds.
TEST(Hdf5Scan, ChangedBytesNeverCrash) {
  const TempFolder folder;
  std::mt19937_64 random(11);
  int refused = 0, read = 0;
  for (const Format& format : kFormats) {
    for (const Amounts& amounts : {Amounts{}, Amounts{20, 40, 1}}) {
      ASSERT_NO_FATAL_FAILURE(write_by_library(folder / "a.h5", format, amounts));
      const std::string raw = slurp(folder / "a.h5");
      for (int i = 0; i < 400; ++i) {
        std::string text = raw;
        for (std::uint64_t change = 0; change <= random() % 3; ++change) {
          constexpr unsigned char kBad[] = {0, 1, 0x7f, 0x80, 0xff};
          text[random() % text.size()] = static_cast<char>(change % 2 == 0 ? random() % 256 : kBad[random() % 5]);
        }
        spill(folder / "b.h5", text);
        const auto start = std::chrono::steady_clock::now();
        try {
          H5File::open(folder / "b.h5");
          ++read;
        } catch (const Error& error) {
          ASSERT_EQ(error.code(), ExitCode::kCorrupt) << error.what();
          ++refused;
        }
        ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
      }
    }
  }
  std::cout << "changed bytes: " << refused << " files refused, " << read << " read, none crashed\n";
  EXPECT_GT(refused, 1000);
  EXPECT_GT(read, 0);
}

// Jenkins' own example: lookup3.c says what "Four score and seven years ago" hashes to.
TEST(Hdf5Scan, TheCheckSumIsLookup3) {
  const std::string text = "Four score and seven years ago";
  EXPECT_EQ(detail::lookup3(std::as_bytes(std::span(text))), 0x17770551u);
  EXPECT_EQ(detail::lookup3({}), 0xdeadbeefu);
}

}  // namespace
}  // namespace hebm::storage::test
