#include "data/dataset.h"
#include <gtest/gtest.h>
#include <cstring>
#include "storage/hash.h"
#include "storage/hdf5.h"
#include "support.h"

namespace hebm::data::test {
namespace {

using storage::H5File;
using storage::H5Type;

DatasetContent small_content() {
  DatasetContent content;
  content.shape = {3, 4, 5};
  content.pixels.resize(7 * 60);
  for (std::size_t i = 0; i < content.pixels.size(); ++i) content.pixels[i] = static_cast<std::uint8_t>(i * 7 + i / 60);
  content.labels = {0, 1, 2, 0, 1, 2, 0};
  content.splits = {0, 1, 0, 0, 1, 0, 0};
  content.label_names = {"a", "b \"quoted\"", "\xc3\xa9"};
  content.source = "a test";
  return content;
}

TEST(Dataset, ComesBackAsWritten) {
  const TempFolder folder;
  const DatasetContent content = small_content();
  const std::string hash = write_dataset(folder / "new/set.h5", content);  // makes the folder
  EXPECT_EQ(names_in(folder / "new"), std::vector<std::string>{"set.h5"});
  const Dataset set = Dataset::open(folder / "new/set.h5");
  EXPECT_EQ(set.size(), 7);
  EXPECT_EQ(set.shape(), content.shape);
  EXPECT_EQ(set.labels(), content.labels);
  EXPECT_EQ(set.label_names(), content.label_names);
  EXPECT_EQ(set.source(), "a test");
  EXPECT_EQ(set.images_hash(), hash);
  EXPECT_EQ(hash, storage::hash_bytes(storage::as_bytes(content.pixels.data(), content.pixels.size())));
  EXPECT_EQ(set.members(Split::kTrain), (std::vector<std::int64_t>{0, 2, 3, 5, 6}));
  EXPECT_EQ(set.members(Split::kTest), (std::vector<std::int64_t>{1, 4}));
  set.verify();
  const std::vector<std::int64_t> wanted = {6, 0, 6, 3};
  const ImageBatch batch = set.read(wanted);
  EXPECT_EQ(batch.count, 4);
  EXPECT_EQ(batch.shape, content.shape);
  EXPECT_EQ(batch.index, wanted);
  for (std::size_t i = 0; i < wanted.size(); ++i)
    for (std::size_t p = 0; p < 60; ++p)
      ASSERT_EQ(batch.pixels[i * 60 + p], content.pixels[static_cast<std::size_t>(wanted[i]) * 60 + p]);
  EXPECT_EQ(set.read({}).count, 0);
  const std::vector<std::int64_t> beyond = {7}, below = {-1};
  expect_error(ExitCode::kRuntime, {"0 to 6", "got 7"}, [&] { set.read(beyond); });
  expect_error(ExitCode::kRuntime, {"got -1"}, [&] { set.read(below); });
}

// Every bit of labels, splits, hashes and pixels; read() finds a damaged pixel too.
TEST(Dataset, FlippedBitsAreNoticed) {
  const TempFolder folder;
  const DatasetContent content = small_content();
  write_dataset(folder / "set.h5", content);
  const std::string bytes = slurp(folder / "set.h5");
  const auto place_of = [&](const void* data, std::size_t size, std::size_t from = 0) {
    const std::size_t place = bytes.find(std::string(static_cast<const char*>(data), size), from);
    EXPECT_NE(place, std::string::npos);
    return place;
  };
  const std::size_t labels = place_of(content.labels.data(), 56), splits = place_of(content.splits.data(), 7, labels);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < 56; ++i) places.push_back(labels + i);
  for (std::size_t i = 0; i < 7; ++i) places.push_back(splits + i);
  for (const std::size_t place : places) {
    std::string damaged = bytes;
    damaged[place] = static_cast<char>(damaged[place] ^ 1);
    spill(folder / "bad.h5", damaged);
    expect_error(ExitCode::kCorrupt, {(folder / "bad.h5").string()}, [&] { Dataset::open(folder / "bad.h5"); });
  }
  std::string damaged = bytes;
  const std::size_t pixel = place_of(content.pixels.data(), content.pixels.size()) + 5 * 60 + 3;
  damaged[pixel] = static_cast<char>(damaged[pixel] ^ 64);
  spill(folder / "bad.h5", damaged);
  const Dataset set = Dataset::open(folder / "bad.h5");
  const std::vector<std::int64_t> any = {0};
  expect_error(ExitCode::kCorrupt, {(folder / "bad.h5").string(), "pixels are damaged"}, [&] { set.read(any); });
}

TEST(Dataset, LabelsAndSplitsMayBeAbsent) {
  const TempFolder folder;
  H5File file = H5File::create(folder / "a.h5");
  const std::vector<std::uint8_t> pixels(2 * 4, 9);
  file.set_attribute("format", std::string("hebm-dataset"));
  file.set_attribute("version", std::int64_t{1});
  file.set_attribute("images_hash", storage::hash_bytes(storage::as_bytes(pixels.data(), pixels.size())));
  file.write("images", H5Type::kU8, {2, 1, 2, 2}, storage::as_bytes(pixels.data(), pixels.size()));
  file.close_durable();
  const Dataset set = Dataset::open(folder / "a.h5");
  set.verify();
  EXPECT_TRUE(set.labels().empty());
  EXPECT_TRUE(set.label_names().empty());
  EXPECT_EQ(set.members(Split::kTrain).size(), 2u);
}

TEST(Dataset, LargeSetsAreReadFromTheFile) {
  const TempFolder folder;
  const auto path = folder / "large.h5";
  constexpr std::uint64_t kImage = 1024 * 1024, kCount = 1100;  // beyond what is kept in memory; a sparse file
  std::vector<std::byte> last(kImage, std::byte{5});
  {
    H5File file = H5File::create(path);
    file.set_attribute("format", std::string("hebm-dataset"));
    file.set_attribute("version", std::int64_t{1});
    file.set_attribute("images_hash", std::string(32, '0'));
    file.create_dataset("images", H5Type::kU8, {kCount, 1, 1024, 1024});
    file.write_rows("images", H5Type::kU8, kCount - 1, 1, last);
    file.close_durable();
  }
  const Dataset set = Dataset::open(path);
  const std::vector<std::int64_t> wanted = {kCount - 1};
  const ImageBatch batch = set.read(wanted);
  ASSERT_EQ(batch.pixels.size(), kImage);
  EXPECT_EQ(0, std::memcmp(batch.pixels.data(), last.data(), kImage));
}

TEST(Dataset, WritingTheSameAgainIsNoWork) {
  const TempFolder folder;
  const auto path = folder / "set.h5";
  const DatasetContent content = small_content();
  const std::string hash = write_dataset(path, content);
  const auto before = std::filesystem::last_write_time(path);
  EXPECT_EQ(write_dataset(path, content), hash);
  EXPECT_EQ(std::filesystem::last_write_time(path), before);
}

TEST(Dataset, AnotherContentIsRefusedAndNamed) {
  const TempFolder folder;
  const auto path = folder / "set.h5";
  write_dataset(path, small_content());
  const std::string before = slurp(path);
  const auto refused = [&](const std::string& what, const std::function<void(DatasetContent&)>& change) {
    DatasetContent content = small_content();
    change(content);
    expect_error(ExitCode::kUsage, {path.string(), what, "remove that file or choose another name"},
        [&] { write_dataset(path, content); });
  };
  refused("images_hash", [](DatasetContent& c) { c.pixels[5] ^= 1; });
  refused("labels", [](DatasetContent& c) { c.labels[5] = 0; });
  refused("splits", [](DatasetContent& c) { c.splits[5] = 1; });
  refused("label names", [](DatasetContent& c) { c.label_names[0] = "other"; });
  refused("image shape (there 3x4x5, to be written 3x5x4)", [](DatasetContent& c) { c.shape = {3, 5, 4}; });
  spill(path, "something else");
  expect_error(
      ExitCode::kCorrupt, {path.string(), "exists and cannot be used"}, [&] { write_dataset(path, small_content()); });
  EXPECT_EQ(slurp(path), "something else");
  spill(path, before);
  DatasetContent damaged = small_content();
  replace_in_file(path, std::string(reinterpret_cast<const char*>(damaged.pixels.data()), 60), std::string(60, '\0'));
  expect_error(ExitCode::kCorrupt, {path.string(), "exists and cannot be used", "images_hash"},
      [&] { write_dataset(path, small_content()); });
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"set.h5"});  // no temporary file is left
}

TEST(Dataset, ContentThatDoesNotFitIsRefused) {
  const TempFolder folder;
  const auto refused = [&](const std::string& what, const std::function<void(DatasetContent&)>& change) {
    DatasetContent content = small_content();
    change(content);
    expect_error(ExitCode::kCorrupt, {what}, [&] { write_dataset(folder / "set.h5", content); });
  };
  refused("7 images of 60 pixels, got 419", [](DatasetContent& c) { c.pixels.pop_back(); });
  refused("7 labels, got 6", [](DatasetContent& c) { c.labels.pop_back(); });
  refused("labels: expected 0 to 2, got 3 for image 3", [](DatasetContent& c) { c.labels[3] = 3; });
  refused("splits", [](DatasetContent& c) { c.splits[3] = 2; });
  refused("1 or 3 channels", [](DatasetContent& c) { c.shape = {2, 6, 5}; });
  refused("at least 1 image", [](DatasetContent& c) { c.splits.clear(); });
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(Dataset, EveryFlippedPixelBitIsFound) {
  const TempFolder folder;
  const auto path = folder / "set.h5";
  const DatasetContent content = small_content();
  write_dataset(path, content);
  const std::string good = slurp(path);
  const std::size_t offset = good.find(std::string(reinterpret_cast<const char*>(content.pixels.data()), 60));
  ASSERT_NE(offset, std::string::npos);
  for (std::size_t i = 0; i < content.pixels.size(); i += 3) {
    std::string bad = good;
    bad[offset + i] = static_cast<char>(bad[offset + i] ^ (1 << (i % 8)));
    spill(path, bad);
    expect_error(
        ExitCode::kCorrupt, {path.string(), "images_hash: expected", "got"}, [&] { Dataset::open(path).verify(); });
  }
}

// A file that is right but for one thing.
struct Crafted {
  std::string format = "hebm-dataset", hash = std::string(32, 'a'), label_names = "[\"a\",\"b\"]";
  std::int64_t version = 1;
  H5Type image_type = H5Type::kU8, label_type = H5Type::kI64;
  std::vector<std::uint64_t> shape = {2, 1, 2, 2};
  std::vector<std::int64_t> labels = {0, 1};
  std::vector<std::uint8_t> splits = {0, 1};
};

void craft(const std::filesystem::path& path, const Crafted& c) {
  std::filesystem::remove(path);
  H5File file = H5File::create(path);
  file.set_attribute("format", c.format);
  file.set_attribute("version", c.version);
  file.set_attribute("images_hash", c.hash);
  file.set_attribute("label_names", c.label_names);
  std::uint64_t count = 1;
  for (const std::uint64_t d : c.shape) count *= d;
  const std::vector<std::byte> zeros(count * storage::size_of(c.image_type));
  file.write("images", c.image_type, c.shape, zeros);
  file.write("labels", c.label_type, {c.labels.size()},
      storage::as_bytes(c.labels.data(), c.labels.size()).first(c.labels.size() * storage::size_of(c.label_type)));
  file.write("splits", H5Type::kU8, {c.splits.size()}, storage::as_bytes(c.splits.data(), c.splits.size()));
  file.close_durable();
}

TEST(Dataset, HostileFilesAreRefusedByName) {
  const TempFolder folder;
  const auto path = folder / "set.h5";
  craft(path, {});
  Dataset::open(path);
  const auto refused = [&](const std::vector<std::string>& what, const std::function<void(Crafted&)>& change) {
    Crafted crafted;
    change(crafted);
    craft(path, crafted);
    std::vector<std::string> parts = what;
    parts.push_back(path.string());
    expect_error(ExitCode::kCorrupt, parts, [&] { Dataset::open(path); });
  };
  refused({"hebm-dataset", "hebm-other"}, [](Crafted& c) { c.format = "hebm-other"; });
  refused({"version 1", "got 2"}, [](Crafted& c) { c.version = 2; });
  refused({"images_hash", "32 hex digits"}, [](Crafted& c) { c.hash = "../../etc/passwd"; });
  refused({"u8 [N, C, H, W]", "f32"}, [](Crafted& c) { c.image_type = H5Type::kF32; });
  refused({"u8 [N, C, H, W]", "[2, 4]"}, [](Crafted& c) { c.shape = {2, 4}; });
  refused({"1 or 3 channels", "[2, 2, 2, 2]"}, [](Crafted& c) { c.shape = {2, 2, 2, 2}; });
  refused({"[0, 1, 2, 2]"}, [](Crafted& c) { c.shape = {0, 1, 2, 2}; });
  refused({"16384 pixels", "16385"}, [](Crafted& c) { c.shape = {2, 1, 16385, 1}; });
  refused({"labels", "[2]", "[3]"}, [](Crafted& c) { c.labels = {0, 1, 0}; });
  refused({"labels", "i64", "i32"}, [](Crafted& c) { c.label_type = H5Type::kI32; });
  refused({"labels", "0 to 1", "got 2", "image 1"}, [](Crafted& c) { c.labels = {0, 2}; });
  refused({"labels", "got -1"}, [](Crafted& c) { c.labels = {-1, 0}; });
  refused({"splits", "got 7"}, [](Crafted& c) { c.splits = {0, 7}; });
  refused({"splits", "[2]"}, [](Crafted& c) { c.splits = {0}; });
  refused({"label_names"}, [](Crafted& c) { c.label_names = "{\"a\":1}"; });
  refused({"label_names"}, [](Crafted& c) { c.label_names = "[1,2]"; });
  refused({"label_names", "nested 100000 deep"}, [](Crafted& c) { c.label_names = std::string(100000, '['); });
  expect_error(ExitCode::kRuntime, {"none.h5"}, [&] { Dataset::open(folder / "none.h5"); });
}

}  // namespace
}  // namespace hebm::data::test
