// Files that a stranger may hand us (CVE-2026-1669 and its kin): each is refused by name, before
// anything of the claimed size is allocated. They are made by the library itself, or by patching a
// file of ours.
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <cstring>
#include <random>
#include "storage/hash.h"
#include "storage/hdf5.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

// A file in the making: `file` is open, handles made on the way are closed with it
// (H5F_CLOSE_STRONG).
void craft(const fs::path& path, const std::function<void(hid_t file)>& fill) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  ASSERT_GE(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), 0);
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  ASSERT_GE(file, 0);
  fill(file);
  ASSERT_GE(H5Fclose(file), 0);
  ASSERT_GE(H5Pclose(access), 0);
}

hid_t space_of(std::vector<hsize_t> dims) {
  return H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
}

// Dataset "x" of 64 floats with this creation list.
void make_dataset(hid_t file, hid_t list, hid_t type = H5T_IEEE_F32LE, std::vector<hsize_t> dims = {64}) {
  const std::vector<double> values(64, 1.0);
  const hid_t dataset = H5Dcreate2(file, "x", type, space_of(std::move(dims)), H5P_DEFAULT, list, H5P_DEFAULT);
  ASSERT_GE(dataset, 0);
  if (H5Tget_class(type) == H5T_FLOAT && H5Pget_layout(list) != H5D_VIRTUAL) {
    ASSERT_GE(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  }
}

hid_t creation_list() { return H5Pcreate(H5P_DATASET_CREATE); }

void expect_refused(const fs::path& path, const std::string& part) {
  expect_error(ExitCode::kCorrupt, {part, path.string()}, [&] { H5File::open(path); });
}

TEST(Hdf5Hostile, TheCraftedFileItselfIsFine) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) { make_dataset(file, creation_list()); });
  EXPECT_EQ(H5File::open(folder / "a.h5").read_all<float>("x", H5Type::kF32), std::vector<float>(64, 1.f));
}

TEST(Hdf5Hostile, NewerFormatsAreRead) {
  const TempFolder folder;
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  ASSERT_GE(H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST), 0);
  ASSERT_GE(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), 0);
  const hid_t file = H5Fcreate((folder / "a.h5").c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access);
  make_dataset(file, creation_list());
  ASSERT_GE(H5Fclose(file), 0);
  EXPECT_EQ(H5File::open(folder / "a.h5").read_all<float>("x", H5Type::kF32), std::vector<float>(64, 1.f));
}

TEST(Hdf5Hostile, ExternalStorage) {
  const TempFolder folder;
  craft(folder / "a.h5", [&](hid_t file) {
    const hid_t list = creation_list();
    ASSERT_GE(H5Pset_external(list, (folder / "secret").c_str(), 0, 256), 0);
    make_dataset(file, list);
  });
  expect_refused(folder / "a.h5", "\"x\" keeps its data in another file");
}

TEST(Hdf5Hostile, ExternalLink) {
  const TempFolder folder;
  craft(folder / "b.h5", [](hid_t file) { make_dataset(file, creation_list()); });
  craft(folder / "a.h5", [&](hid_t file) {
    ASSERT_GE(H5Lcreate_external((folder / "b.h5").c_str(), "x", file, "y", H5P_DEFAULT, H5P_DEFAULT), 0);
  });
  expect_refused(folder / "a.h5", "\"y\" is a link to another file");
}

TEST(Hdf5Hostile, SoftLinkBelowAGroup) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) {
    make_dataset(file, creation_list());
    const hid_t group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(H5Lcreate_soft("/x", group, "y", H5P_DEFAULT, H5P_DEFAULT), 0);
  });
  expect_refused(folder / "a.h5", "\"g/y\" is a soft link");
}

TEST(Hdf5Hostile, VirtualDataset) {
  const TempFolder folder;
  craft(folder / "b.h5", [](hid_t file) { make_dataset(file, creation_list()); });
  craft(folder / "a.h5", [&](hid_t file) {
    const hid_t list = creation_list();
    ASSERT_GE(H5Pset_virtual(list, space_of({64}), (folder / "b.h5").c_str(), "/x", space_of({64})), 0);
    make_dataset(file, list);
  });
  expect_refused(folder / "a.h5", "\"x\" has a virtual layout");
}

TEST(Hdf5Hostile, ChunkedAndDeflated) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) {
    const hid_t list = creation_list();
    const hsize_t chunk = 16;
    ASSERT_GE(H5Pset_chunk(list, 1, &chunk), 0);
    ASSERT_GE(H5Pset_deflate(list, 6), 0);
    make_dataset(file, list);
  });
  expect_refused(folder / "a.h5", "\"x\" has a chunked layout");
}

TEST(Hdf5Hostile, Compact) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) {
    const hid_t list = creation_list();
    ASSERT_GE(H5Pset_layout(list, H5D_COMPACT), 0);
    make_dataset(file, list);
  });
  expect_refused(folder / "a.h5", "\"x\" has a compact layout");
}

TEST(Hdf5Hostile, OtherTypes) {
  const TempFolder folder;
  const hid_t compound = H5Tcreate(H5T_COMPOUND, 8);
  ASSERT_GE(H5Tinsert(compound, "a", 0, H5T_STD_I64LE), 0);
  const hid_t text = H5Tcopy(H5T_C_S1);
  ASSERT_GE(H5Tset_size(text, H5T_VARIABLE), 0);
  for (const hid_t type :
      {compound, text, H5T_IEEE_F32BE, H5T_STD_I16LE, H5T_STD_I64BE, H5T_STD_I8LE, H5T_STD_REF_OBJ}) {
    craft(folder / "a.h5", [&](hid_t file) { make_dataset(file, creation_list(), type); });
    expect_refused(folder / "a.h5", "\"x\" has a type other than");
  }
}

TEST(Hdf5Hostile, NothingStoredAndNoShape) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) {
    ASSERT_GE(H5Dcreate2(file, "x", H5T_STD_U8LE, space_of({64}), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), 0);
  });
  expect_refused(folder / "a.h5", "\"x\" has no data stored");
  craft(folder / "b.h5", [](hid_t file) {
    ASSERT_GE(H5Dcreate2(file, "x", H5T_STD_U8LE, H5Screate(H5S_NULL), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), 0);
  });
  expect_refused(folder / "b.h5", "\"x\" has no shape of 0 to 8 dimensions");
  craft(folder / "c.h5", [](hid_t file) {
    make_dataset(file, creation_list(), H5T_IEEE_F32LE, {1, 1, 1, 1, 1, 1, 1, 8, 8});
  });
  expect_refused(folder / "c.h5", "\"x\" has no shape of 0 to 8 dimensions");
}

TEST(Hdf5Hostile, SecondNamesAndCycles) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) {
    const hid_t group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(H5Lcreate_hard(file, "/", group, "again", H5P_DEFAULT, H5P_DEFAULT), 0);
  });
  expect_refused(folder / "a.h5", "\"g/again\" is a second name");
  craft(folder / "b.h5", [](hid_t file) {
    make_dataset(file, creation_list());
    ASSERT_GE(H5Lcreate_hard(file, "x", file, "y", H5P_DEFAULT, H5P_DEFAULT), 0);
  });
  expect_refused(folder / "b.h5", "is a second name");
  craft(folder / "c.h5", [](hid_t file) {
    ASSERT_GE(H5Tcommit2(file, "t", H5Tcopy(H5T_STD_I64LE), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), 0);
  });
  expect_refused(folder / "c.h5", "\"t\" is neither a group nor a dataset");
}

TEST(Hdf5Hostile, NamesThatAreTooLongOrOdd) {
  const TempFolder folder;
  const auto with_name = [&](const std::string& name) {
    craft(folder / "a.h5",
        [&](hid_t file) { ASSERT_GE(H5Gcreate2(file, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), 0); });
  };
  with_name(std::string(1025, 'n'));
  expect_refused(folder / "a.h5", "a name of more than 1024 bytes");
  for (const char* name : {"a\nb", "\xff"}) {
    with_name(name);
    expect_refused(folder / "a.h5", "is not a name of ours");
  }
  with_name("\x1b[2J");  // would clear the reader's terminal
  expect_refused(folder / "a.h5", "\"\\x1b[2J\" is not a name of ours");
}

TEST(Hdf5Hostile, TooManyObjects) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) {
    // 100,001 names of one group: the count is refused before the second name is.
    const hid_t group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    for (int i = 0; i <= 100000; ++i) {
      ASSERT_GE(H5Lcreate_hard(file, "g", group, std::to_string(i).c_str(), H5P_DEFAULT, H5P_DEFAULT), 0);
    }
  });
  expect_refused(folder / "a.h5", "more than 100000 objects");
}

TEST(Hdf5Hostile, AttributesOfWrongSizeOrKind) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) {
    const hid_t scalar = H5Screate(H5S_SCALAR);
    const hid_t text = H5Tcopy(H5T_C_S1);
    ASSERT_GE(H5Tset_size(text, H5T_VARIABLE), 0);
    ASSERT_GE(H5Acreate2(file, "variable", text, scalar, H5P_DEFAULT, H5P_DEFAULT), 0);
    ASSERT_GE(H5Acreate2(file, "list", H5T_STD_I64LE, space_of({2}), H5P_DEFAULT, H5P_DEFAULT), 0);
    ASSERT_GE(H5Acreate2(file, "null", H5T_STD_I64LE, H5Screate(H5S_NULL), H5P_DEFAULT, H5P_DEFAULT), 0);
    ASSERT_GE(H5Acreate2(file, "short", H5T_STD_I16LE, scalar, H5P_DEFAULT, H5P_DEFAULT), 0);
  });
  const H5File file = H5File::open(folder / "a.h5");
  expect_error(ExitCode::kCorrupt, {"fixed length"}, [&] { file.string_attribute("variable"); });
  expect_error(ExitCode::kCorrupt, {"not a single value"}, [&] { file.int_attribute("list"); });
  expect_error(ExitCode::kCorrupt, {"not a single value"}, [&] { file.int_attribute("null"); });
  expect_error(ExitCode::kCorrupt, {"64-bit integer"}, [&] { file.int_attribute("short"); });
}

TEST(Hdf5Hostile, LargeAttribute) {
  const TempFolder folder;
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  ASSERT_GE(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), 0);
  const hid_t file = H5Fcreate((folder / "a.h5").c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access);
  const hid_t text = H5Tcopy(H5T_C_S1);
  ASSERT_GE(H5Tset_size(text, (1 << 20) + 2), 0);
  const hid_t attribute = H5Acreate2(file, "large", text, H5Screate(H5S_SCALAR), H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(attribute, 0);
  ASSERT_GE(H5Awrite(attribute, text, std::string((1 << 20) + 2, 'x').data()), 0);
  ASSERT_GE(H5Aclose(attribute), 0);
  ASSERT_GE(H5Fclose(file), 0);
  const H5File read = H5File::open(folder / "a.h5");
  expect_error(ExitCode::kCorrupt, {"expected at most 1048576"}, [&] { read.string_attribute("large"); });
}

std::uint64_t peak_rss_bytes() {
  rusage usage{};
  EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

// Overwrites every 8-byte number `from` of the file's bytes; at least `at_least` places must have
// it.
std::string patch(std::string text, std::uint64_t from, std::uint64_t to, int at_least) {
  const auto raw = [](std::uint64_t& value) { return std::string(reinterpret_cast<const char*>(&value), 8); };
  int found = 0;
  for (std::size_t at = 0; (at = text.find(raw(from), at)) != std::string::npos; at += 8, ++found) {
    text.replace(at, 8, raw(to));
  }
  EXPECT_GE(found, at_least);
  return text;
}

// R28: 10^15 elements claimed. The old format has no checksum, so shape and storage size are
// patched in place.
TEST(Hdf5Hostile, ShapeBomb) {
  const TempFolder folder;
  craft(folder / "a.h5", [](hid_t file) {
    const std::vector<std::uint8_t> values(1030 * 1021, 1);
    for (const auto& [name, dims] : {std::pair("x", std::vector<hsize_t>{1030 * 1021}), {"y", {1030, 1021}}}) {
      const hid_t dataset = H5Dcreate2(file, name, H5T_STD_U8LE, space_of(dims), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      ASSERT_GE(H5Dwrite(dataset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
    }
  });
  const std::string raw = read_file(folder / "a.h5");
  const std::uint64_t size = 1030 * 1021;
  const std::pair<std::string, const char*> cases[] = {
      {patch(raw, size, 1000000000000000, 4), "\"x\" claims shape [1000000000000000] of u8"},
      {patch(raw, size, ~0ull, 4), "\"x\" claims shape [18446744073709551615] of u8"},
      {patch(patch(raw, 1030, 1ull << 33, 1), 1021, 1ull << 33, 1), "\"y\" claims shape [8589934592, 8589934592]"},
      {patch(raw, 1030, 1031, 1), "\"y\" stores 1051630 bytes, expected 1052651"},
      {raw.substr(0, raw.size() - 1), "is not a whole HDF5 file: truncated file"}};
  for (const auto& [text, part] : cases) {
    spill(folder / "b.h5", text);
    const std::uint64_t before = peak_rss_bytes();
    expect_refused(folder / "b.h5", part);
    EXPECT_LT(peak_rss_bytes() - before, 64u << 20);
  }
}

// A sparse file makes an absurd claim true in size: only the caller's own limits can refuse it
// then, but nothing is allocated here.
TEST(Hdf5Hostile, SparseClaimAllocatesNothing) {
  const TempFolder folder;
  {
    H5File file = H5File::create(folder / "a.h5");
    file.create_dataset("x", H5Type::kF64, {1u << 28});
    file.close_durable();
  }
  const std::uint64_t before = peak_rss_bytes();
  const H5File file = H5File::open(folder / "a.h5");
  EXPECT_EQ(file.info("x").bytes, std::uint64_t{1} << 31);
  EXPECT_LT(peak_rss_bytes() - before, 64u << 20);
}

TEST(Hdf5Hostile, NotHdf5AndTruncated) {
  const TempFolder folder;
  spill(folder / "text.h5", "this is not HDF5");
  expect_refused(folder / "text.h5", "file signature not found");
  spill(folder / "empty.h5", "");
  expect_refused(folder / "empty.h5", "is not a whole HDF5 file");
  {
    H5File file = H5File::create(folder / "whole.h5");
    const std::vector<float> values(4096, 1.f);
    file.write("g/x", H5Type::kF32, {64, 64}, as_bytes(values.data(), values.size()));
    file.set_attribute("name", "value");
    file.close_durable();
  }
  const std::string raw = read_file(folder / "whole.h5");
  for (std::size_t i = 0; i < 50; ++i) {
    spill(folder / "cut.h5", raw.substr(0, raw.size() * i / 50));
    expect_refused(folder / "cut.h5", "is not a whole HDF5 file");
  }
}

// Bits flipped anywhere outside the data: an Error or the true content, never a crash. The 1.8
// format has checksums.
TEST(Hdf5Hostile, FlippedBitsInMetadata) {
  const TempFolder folder;
  const std::vector<float> values(64, 1.f);
  {
    H5File file = H5File::create(folder / "whole.h5");
    file.write("g/x", H5Type::kF32, {64}, as_bytes(values.data(), values.size()));
    file.set_attribute("name", "value");
    file.close_durable();
  }
  const std::uint64_t data = H5File::open(folder / "whole.h5").info("g/x").file_offset;
  const std::string raw = read_file(folder / "whole.h5");
  std::mt19937_64 random(7);
  int refused = 0, tried = 0;
  while (tried < 200) {
    const std::size_t at = random() % raw.size();
    if (at >= data && at < data + 256) continue;
    ++tried;
    std::string text = raw;
    text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
    spill(folder / "flipped.h5", text);
    try {
      const H5File file = H5File::open(folder / "flipped.h5");
      EXPECT_EQ(file.read_all<float>("g/x", H5Type::kF32), values);
      EXPECT_EQ(file.string_attribute("name"), "value");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kCorrupt) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace hebm::storage::test
