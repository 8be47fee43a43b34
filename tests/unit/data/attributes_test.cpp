// Attributes: what is measured, against values by hand; how a data set keeps them; what is refused
// in a file.
#include "data/attributes.h"
#include <gtest/gtest.h>
#include <cmath>
#include <filesystem>
#include "../support.h"
#include "data/dataset.h"
#include "storage/files.h"

namespace hebm::data {
namespace {

TEST(Measured, LitPixelsAloneCount) {
  const ImageShape shape{1, 2, 4};
  const std::vector<std::uint8_t> image = {100, 0, 0, 25, 0, 0, 200, 0};  // lit: 100 in column 0, 200 in column 2
  EXPECT_DOUBLE_EQ(measured(Measure::kBrightness, shape, image), 150);
  EXPECT_DOUBLE_EQ(measured(Measure::kTexture, shape, image), 50);
  // Columns 0 and 2 with weights 1/3 and 2/3: mean 4/3, variance 8/3 - 16/9 = 8/9.
  EXPECT_NEAR(measured(Measure::kWidth, shape, image), std::sqrt(8.0 / 9.0), 1e-12);
  for (const Measure measure : {Measure::kBrightness, Measure::kWidth, Measure::kTexture})
    EXPECT_EQ(measured(measure, shape, std::vector<std::uint8_t>(8, 25)), 0) << name_of(measure);
  // Three colours: lit where one of them is, its light their mean.
  const std::vector<std::uint8_t> colours = {
      90, 0, 0, 0, 30, 60};  // [3, 1, 2]: pixel 0 (90, 0, 30), pixel 1 (0, 0, 60)
  EXPECT_DOUBLE_EQ(measured(Measure::kBrightness, {3, 1, 2}, colours), 30);
  EXPECT_THROW(measured(Measure::kClass, shape, image), Error);
  EXPECT_THROW(measured(Measure::kWidth, {1, 2, 2}, image), Error);
}

TEST(Median, OfOddAndEvenCounts) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
  EXPECT_EQ(median({7}), 7);
  EXPECT_THROW(median({}), Error);
}

DatasetContent content() {
  DatasetContent out;
  out.shape = {1, 2, 2};
  out.pixels = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  out.labels = {1, 0, 1};
  out.splits = {0, 0, 1};
  out.label_names = {"cat", "dog"};
  out.source = "test";
  return out;
}

DatasetContent with_attributes() {
  DatasetContent out = content();
  out.attributes = {{"animal", {"any", "other"}, Measure::kClass, 0, {0, 1}},
      {"width", {"narrow", "wide"}, Measure::kWidth, 0.125, {}}};
  out.attribute_values = {1, 0, 0, 1, 1, 1};
  return out;
}

TEST(Attributes, AreKeptBesideTheSamePixels) {
  const test::TempFolder folder;
  const std::string plain_hash = write_dataset(folder / "plain.h5", content());
  EXPECT_EQ(write_dataset(folder / "with.h5", with_attributes()), plain_hash) << "the pixels' hash, which keys a cache";
  const Dataset set = Dataset::open(folder / "with.h5");
  EXPECT_EQ(set.attributes(), with_attributes().attributes);
  EXPECT_EQ(set.attribute_values(0), (std::vector<std::int64_t>{1, 0, 1}));
  EXPECT_EQ(set.attribute_values(1), (std::vector<std::int64_t>{0, 1, 1}));
  EXPECT_TRUE(Dataset::open(folder / "plain.h5").attributes().empty());
  write_dataset(folder / "with.h5", with_attributes());  // the same again is fine
  test::expect_error(ExitCode::kUsage, {"attributes"}, [&] { write_dataset(folder / "with.h5", content()); });
  auto other = with_attributes();
  other.attribute_values[3] = 0;
  test::expect_error(ExitCode::kUsage, {"attributes"}, [&] { write_dataset(folder / "with.h5", other); });
  other.attribute_values[3] = 2;
  test::expect_error(ExitCode::kCorrupt, {"width"}, [&] { write_dataset(folder / "new.h5", other); });
}

TEST(LabelColumns, AreLabelsAndAttributesByName) {
  const test::TempFolder folder;
  write_dataset(folder / "with.h5", with_attributes());
  const Dataset set = Dataset::open(folder / "with.h5");
  EXPECT_EQ(label_columns(set), (std::vector<std::string>{"labels", "animal", "width"}));
  EXPECT_EQ(label_column(set, "labels").categories, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(label_column(set, "width").categories, (std::vector<std::string>{"narrow", "wide"}));
  EXPECT_EQ(label_column(set, "width").values, (std::vector<std::int64_t>{0, 1, 1}));
  test::expect_error(ExitCode::kUsage, {"labels, animal, width"}, [&] { label_column(set, "colour"); });
  auto bare = content();
  bare.labels = {0, 3, 0};
  bare.label_names.clear();
  write_dataset(folder / "bare.h5", bare);
  EXPECT_EQ(label_column(Dataset::open(folder / "bare.h5"), "labels").categories,
      (std::vector<std::string>{"0", "1", "2", "3"}));
  bare.labels.clear();
  write_dataset(folder / "none.h5", bare);
  test::expect_error(
      ExitCode::kUsage, {"it has none"}, [&] { label_column(Dataset::open(folder / "none.h5"), "labels"); });
}

TEST(AttributesText, IsReadBackAndHostileTextIsRefused) {
  const auto attributes = with_attributes().attributes;
  const std::string text = attributes_text(attributes);
  EXPECT_EQ(parse_attributes(text, 2, "x"), attributes);
  const auto refused = [](const std::string& hostile, std::int64_t labels = 2) {
    return test::expect_error(ExitCode::kCorrupt, {}, [&] { parse_attributes(hostile, labels, "set.h5"); });
  };
  EXPECT_NE(refused(text, 3).find("the set has 3"), std::string::npos);
  for (const char* hostile :
      {"", "{}", "[1]", "[{}]", R"([{"name":"a","categories":[],"measure":"width","threshold":1}])",
          R"([{"name":"a","categories":["x"],"measure":"width","threshold":1}])",
          R"([{"name":"a","categories":["x","y"],"measure":"height","threshold":1}])",
          R"([{"name":"a","categories":["x","y"],"measure":"width","threshold":"much"}])",
          R"([{"name":"a","categories":["x","y"],"measure":"class","of_label":[0,2]}])",
          R"([{"name":"a","categories":["x",7],"measure":"width","threshold":1}])"}) {
    EXPECT_NE(refused(hostile).find("set.h5"), std::string::npos) << hostile;
  }
}

TEST(Attributes, DamagedValuesAreNoticed) {
  const test::TempFolder folder;
  write_dataset(folder / "set.h5", with_attributes());
  auto bytes = storage::read_file(folder / "set.h5");
  const std::string values("\1\0\0\1\1\1", 6);
  const auto at = bytes.find(values);
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(bytes.find(values, at + 1), std::string::npos);
  bytes[at + 1] = 1;  // another category of image 0
  storage::write_file_atomic(folder / "set.h5", bytes);
  test::expect_error(ExitCode::kCorrupt, {"content_hash"}, [&] { Dataset::open(folder / "set.h5"); });
}

}  // namespace
}  // namespace hebm::data
