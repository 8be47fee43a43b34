// Image data sets as HDF5: `images` u8 [N,C,H,W], optional `labels` i64 [N], `splits` u8 [N] (0
// train, 1 test), `hash` u64 [N] (xxh3-64 of each image), optional `attributes` u8 [N,A];
// attributes format = "hebm-dataset", version, source, images_hash (xxh3-128 of the pixels alone),
// label_names (JSON), attributes (JSON, attributes.h), content_hash (of all the rest). Sets of
// other programs may lack `hash` and content_hash.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "base/choice.h"
#include "base/types.h"
#include "data/attributes.h"

namespace hebm::data {

enum class Split : std::uint8_t { kTrain = 0, kTest = 1 };
constexpr std::array<Choice<Split>, 2> choices_of(Split) {
  return {{{"train", Split::kTrain}, {"test", Split::kTest}}};
}

struct DatasetContent {
  ImageShape shape;
  std::vector<std::uint8_t> pixels;  // [N,C,H,W]
  std::vector<std::int64_t> labels;  // [N] or empty
  std::vector<std::uint8_t> splits;  // [N]
  std::vector<std::string> label_names;
  std::string source;
  std::vector<Attribute> attributes;
  std::vector<std::uint8_t> attribute_values;  // [N,A]
};

class Dataset {
 public:
  // Sets of up to so many bytes of pixels stay in memory.
  static constexpr std::uint64_t kKeepBytes = std::uint64_t{1} << 30;
  // Checks format, shapes, splits and content_hash; not the pixels (read() and verify() do).
  static Dataset open(const std::filesystem::path& path);

  const std::filesystem::path& path() const;
  std::int64_t size() const;
  const DatasetContent& content() const;  // all but the pixels
  const ImageShape& shape() const { return content().shape; }
  // Error(kUsage) where the images are not what `who` takes: "VAE", "classifier".
  void expect_shape(const ImageShape& wanted, const char* who) const;
  const std::string& images_hash() const;
  const std::string& source() const { return content().source; }
  const std::vector<std::string>& label_names() const { return content().label_names; }  // empty without labels
  const std::vector<std::int64_t>& labels() const { return content().labels; }           // [N] or empty
  const std::vector<Attribute>& attributes() const { return content().attributes; }      // none is empty
  std::vector<std::int64_t> attribute_values(std::size_t attribute) const;               // [N] categories
  // Global image numbers of a split, ascending.
  const std::vector<std::int64_t>& members(Split split) const;
  // Images by global number, any order; pixels are read from the file (kept in memory up to
  // kKeepBytes) and checked against their hash: Error(kCorrupt).
  ImageBatch read(std::span<const std::int64_t> index) const;
  void verify() const;  // recomputes images_hash: Error(kCorrupt) with expected and got
 private:
  struct Impl;
  explicit Dataset(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

std::string images_hash(const DatasetContent& content);
// The hash over all of a data set but its pixels, for which images_hash stands. The texts: label
// names and attributes as stored; hashes: of each image, or none.
std::string content_hash(const DatasetContent& content, const std::string& images_hash, const std::string& label_names,
    const std::string& attributes, std::span<const std::uint64_t> hashes);
// Error(kCorrupt) unless labels, splits and attribute values are such as their names allow.
void check_categories(const DatasetContent& content, const std::string& path);
// Written under a temporary name, fsynced, renamed; an existing file is an error unless it already
// holds the same content (same images_hash, shape, labels, splits, label names and attributes),
// which is verified and left alone: Error(kUsage) names what differs. Returns images_hash.
std::string write_dataset(const std::filesystem::path& path, const DatasetContent& content);

// What images are told apart by: the data set's labels, under the name "labels", or one of its
// attributes, one category an image.
inline constexpr const char* kLabels = "labels";

struct LabelColumn {
  std::string name;
  std::vector<std::string> categories;
  std::vector<std::int64_t> values;  // [N], of image 0, 1, ...
};

// Labels without names are called "0", "1", ... A name that the set does not have is Error(kUsage)
// with those that it has.
LabelColumn label_column(const Dataset& set, const std::string& name);
std::vector<std::string> label_columns(const Dataset& set);  // their names

}  // namespace hebm::data
