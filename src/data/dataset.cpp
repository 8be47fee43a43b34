#include "data/dataset.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include "base/error.h"
#include "data/json_fields.h"
#include "storage/files.h"
#include "storage/hash.h"
#include "storage/hdf5.h"
#include "storage/memory.h"

namespace hebm::data {
namespace {

using storage::H5File;
using storage::H5Info;
using storage::H5Type;

constexpr std::uint64_t kMaxImages = std::uint64_t{1} << 31;
constexpr std::uint64_t kMaxSide = 16384;
constexpr std::uint64_t kBytesAnImage = 32;  // of memory: label, split, hash and number
constexpr std::size_t kMaxLabelNames = 65536, kMaxLabelNameBytes = 256;

std::string shape_text(const std::vector<std::uint64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

// Shape of `images`, with bounds that make every later product fit 64 bits.
ImageShape check_images(const H5Info& info, const std::string& path) {
  check(info.type == H5Type::kU8 && info.shape.size() == 4, ExitCode::kCorrupt,
      "{}: images: expected u8 [N, C, H, W], got {} {}", path, storage::name_of(info.type), shape_text(info.shape));
  const auto& s = info.shape;
  const bool fits = s[0] >= 1 && s[0] <= kMaxImages && (s[1] == 1 || s[1] == 3) && s[2] >= 1 && s[2] <= kMaxSide &&
                    s[3] >= 1 && s[3] <= kMaxSide;
  check(fits, ExitCode::kCorrupt,
      "{}: images: expected 1 to 2^31 images of 1 or 3 channels and 1 to {} pixels a side, got {}", path, kMaxSide,
      shape_text(s));
  check(info.bytes == s[0] * s[1] * s[2] * s[3], ExitCode::kCorrupt, "{}: images: expected {} bytes, got {}", path,
      s[0] * s[1] * s[2] * s[3], info.bytes);
  return {static_cast<std::int64_t>(s[1]), static_cast<std::int64_t>(s[2]), static_cast<std::int64_t>(s[3])};
}

template <class T> std::vector<T> read_vector(const H5File& file, const char* name, H5Type type,
    const std::vector<std::uint64_t>& shape, const std::string& path) {
  const H5Info info = file.info(name);
  check(info.type == type && info.shape == shape, ExitCode::kCorrupt, "{}: {}: expected {} {}, got {} {}", path, name,
      storage::name_of(type), shape_text(shape), storage::name_of(info.type), shape_text(info.shape));
  return file.read_all<T>(name, type);
}

std::string text_or_empty(const H5File& file, const char* attribute) {
  return file.has_attribute(attribute) ? file.string_attribute(attribute) : "";
}

std::vector<std::string> parse_label_names(const std::string& text, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  check(json.is_array() && json.size() <= kMaxLabelNames, ExitCode::kCorrupt,
      "{}: expected an array of at most {} names, got {} of {}", where, kMaxLabelNames, json.type_name(), json.size());
  return json_strings(json, kMaxLabelNameBytes, where);
}

}  // namespace

struct Dataset::Impl {
  explicit Impl(const std::filesystem::path& path) : raw(path) {}

  storage::ReadOnlyFile raw;
  DatasetContent content;  // all but the pixels
  std::int64_t count = 0;
  std::uint64_t pixels_offset = 0, pixels_bytes = 0;
  std::string images_hash;
  std::vector<std::uint64_t> hashes;  // of each image, or empty
  std::vector<std::int64_t> members[2];
  std::once_flag kept_once;
  std::vector<std::byte> kept;  // all pixels, filled by the first read()

  std::string name() const { return raw.path().string(); }
  void keep_all();
  void read_image(std::uint64_t image, std::span<std::byte> out) const;
  void check_pixels(const std::string& got) const;
  void load_content(const H5File& file);
};

void Dataset::Impl::check_pixels(const std::string& got) const {
  check(got == images_hash, ExitCode::kCorrupt,
      "{}: images_hash: expected {}, got {}: the pixels are damaged; remove the file and import it again", name(),
      images_hash, got);
}

void Dataset::Impl::keep_all() {
  std::vector<std::byte> pixels(pixels_bytes);
  raw.read_at(pixels_offset, pixels);
  check_pixels(storage::hash_bytes(pixels));
  kept = std::move(pixels);
}

void Dataset::Impl::read_image(std::uint64_t image, std::span<std::byte> out) const {
  raw.read_at(pixels_offset + image * out.size(), out);
  if (hashes.empty()) return;
  const std::uint64_t got = storage::hash64(out);
  check(got == hashes[image], ExitCode::kCorrupt,
      "{}: image {}: expected hash {:016x}, got {:016x}: the pixels are damaged; remove the file and import it again",
      name(), image, hashes[image], got);
}

// Labels, attributes, splits and the hashes.
void Dataset::Impl::load_content(const H5File& file) {
  const auto n = static_cast<std::uint64_t>(count);
  storage::check_memory(n * kBytesAnImage, fmt::format("{}: {} images", name(), n));
  DatasetContent& c = content;
  c.source = text_or_empty(file, "source");
  const std::string label_names = text_or_empty(file, "label_names"), attributes = text_or_empty(file, "attributes");
  if (file.has_attribute("label_names")) c.label_names = parse_label_names(label_names, name() + ": label_names");
  if (file.has("labels")) c.labels = read_vector<std::int64_t>(file, "labels", H5Type::kI64, {n}, name());
  if (file.has_attribute("attributes")) {
    const std::int64_t num_labels = c.labels.empty() ? 0 : static_cast<std::int64_t>(c.label_names.size());
    c.attributes = parse_attributes(attributes, num_labels, name() + ": attributes");
    c.attribute_values = read_vector<std::uint8_t>(file, "attributes", H5Type::kU8, {n, c.attributes.size()}, name());
  }
  c.splits.assign(n, static_cast<std::uint8_t>(Split::kTrain));
  if (file.has("splits")) c.splits = read_vector<std::uint8_t>(file, "splits", H5Type::kU8, {n}, name());
  check_categories(c, name());
  for (std::size_t i = 0; i < n; ++i) members[c.splits[i]].push_back(static_cast<std::int64_t>(i));
  if (file.has("hash")) hashes = read_vector<std::uint64_t>(file, "hash", H5Type::kU64, {n}, name());
  if (!file.has_attribute("content_hash")) return;
  const std::string expected = file.string_attribute("content_hash");
  const std::string got = content_hash(c, images_hash, label_names, attributes, hashes);
  check(got == expected, ExitCode::kCorrupt,
      "{}: content_hash: expected {}, got {}: labels, splits or header are damaged; "
      "remove the file and import it again",
      name(), expected.substr(0, 64), got);
}

Dataset Dataset::open(const std::filesystem::path& path) {
  auto impl = std::make_shared<Impl>(path);
  const std::string name = path.string();
  const H5File file = H5File::open(path);
  const std::string format = file.has_attribute("format") ? file.string_attribute("format") : "none";
  check(format == "hebm-dataset", ExitCode::kCorrupt,
      "{}: expected a file of format hebm-dataset, got \"{}\" (hebm_data import-idx writes data sets)", name,
      format.substr(0, 64));
  const std::int64_t version = file.int_attribute("version");
  check(version == 1, ExitCode::kCorrupt, "{}: expected data set version 1, got {}", name, version);
  const H5Info info = file.info("images");
  impl->content.shape = check_images(info, name);
  impl->count = static_cast<std::int64_t>(info.shape[0]);
  impl->pixels_offset = info.file_offset;
  impl->pixels_bytes = info.bytes;
  impl->images_hash = file.string_attribute("images_hash");
  check(storage::is_hash(impl->images_hash), ExitCode::kCorrupt, "{}: images_hash: expected 32 hex digits, got \"{}\"",
      name, impl->images_hash.substr(0, 64));
  try {
    impl->load_content(file);
  } catch (const std::bad_alloc&) {
    fail(ExitCode::kCorrupt, "{}: claims {} images: there is no memory for their labels and splits", name, impl->count);
  }
  return Dataset(std::move(impl));
}

const std::filesystem::path& Dataset::path() const { return impl_->raw.path(); }
const DatasetContent& Dataset::content() const { return impl_->content; }
std::int64_t Dataset::size() const { return impl_->count; }
const std::string& Dataset::images_hash() const { return impl_->images_hash; }
std::vector<std::int64_t> Dataset::attribute_values(std::size_t attribute) const {
  const std::size_t width = impl_->content.attributes.size();
  check(attribute < width, ExitCode::kRuntime, "{}: {} attributes, number {} is asked for", path().string(), width,
      attribute);
  std::vector<std::int64_t> out;
  for (std::size_t i = attribute; i < impl_->content.attribute_values.size(); i += width)
    out.push_back(impl_->content.attribute_values[i]);
  return out;
}
void Dataset::expect_shape(const ImageShape& wanted, const char* who) const {
  const ImageShape has = shape();
  check(has == wanted, ExitCode::kUsage,
      "{}: images of {} x {} x {}, the {} takes {} x {} x {}: use the data set that it was trained on, or images of "
      "that shape",
      path().string(), has.channels, has.height, has.width, who, wanted.channels, wanted.height, wanted.width);
}

const std::vector<std::int64_t>& Dataset::members(Split split) const {
  return impl_->members[static_cast<std::size_t>(split)];
}

ImageBatch Dataset::read(std::span<const std::int64_t> index) const {
  const auto size = static_cast<std::size_t>(impl_->content.shape.size());
  for (const std::int64_t i : index)
    check(i >= 0 && i < impl_->count, ExitCode::kRuntime, "{}: expected image numbers 0 to {}, got {}", path().string(),
        impl_->count - 1, i);
  const bool keep = impl_->pixels_bytes <= kKeepBytes;
  if (keep) std::call_once(impl_->kept_once, [this] { impl_->keep_all(); });
  ImageBatch batch;
  batch.shape = impl_->content.shape;
  batch.count = static_cast<std::int64_t>(index.size());
  batch.index.assign(index.begin(), index.end());
  batch.pixels = storage::allocated<std::uint8_t>(index.size() * size, path().string());
  auto* out = reinterpret_cast<std::byte*>(batch.pixels.data());
  for (std::size_t i = 0; i < index.size(); ++i, out += size) {
    const auto image = static_cast<std::uint64_t>(index[i]);
    if (keep)
      std::copy_n(impl_->kept.data() + image * size, size, out);
    else
      impl_->read_image(image, {out, size});
  }
  return batch;
}

void Dataset::verify() const {
  storage::Hasher hasher;
  impl_->raw.read_blocks(
      impl_->pixels_offset, impl_->pixels_offset + impl_->pixels_bytes, [&](auto block) { hasher.update(block); });
  impl_->check_pixels(hasher.digest());
}

std::vector<std::string> label_columns(const Dataset& set) {
  std::vector<std::string> out;
  if (!set.labels().empty()) out.push_back(kLabels);
  for (const Attribute& a : set.attributes()) out.push_back(a.name);
  return out;
}

LabelColumn label_column(const Dataset& set, const std::string& name) {
  const auto columns = label_columns(set);
  const bool known = std::find(columns.begin(), columns.end(), name) != columns.end();
  check(known, ExitCode::kUsage, "{}: the data set has no labels called '{}'; it has {}", set.path().string(), name,
      columns.empty() ? "none" : fmt::format("{}", fmt::join(columns, ", ")));
  for (std::size_t a = 0; name != kLabels && a < set.attributes().size(); ++a) {
    if (set.attributes()[a].name == name) return {name, set.attributes()[a].categories, set.attribute_values(a)};
  }
  LabelColumn out{name, set.label_names(), set.labels()};
  const std::int64_t last = *std::max_element(out.values.begin(), out.values.end());
  while (static_cast<std::int64_t>(out.categories.size()) <= last)
    out.categories.push_back(fmt::to_string(out.categories.size()));
  return out;
}

}  // namespace hebm::data
