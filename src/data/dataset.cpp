#include "data/dataset.h"
#include <fmt/format.h>
#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include "base/error.h"
#include "data/dataset_hash.h"
#include "data/json_fields.h"
#include "storage/files.h"
#include "storage/hash.h"
#include "storage/hdf5.h"

namespace hebm::data {
namespace {

using storage::H5File;
using storage::H5Info;
using storage::H5Type;

constexpr std::uint64_t kMaxImages = std::uint64_t{1} << 31;
constexpr std::uint64_t kMaxSide = 16384;
constexpr std::size_t kMaxLabelNames = 65536, kMaxLabelNameBytes = 256;
constexpr std::uint64_t kBlockBytes = std::uint64_t{16} << 20;

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

void check_vector(const H5Info& info, H5Type type, std::uint64_t count, const char* name, const std::string& path) {
  check(info.type == type && info.shape.size() == 1 && info.shape[0] == count, ExitCode::kCorrupt,
      "{}: {}: expected {} [{}], got {} {}", path, name, storage::name_of(type), count, storage::name_of(info.type),
      shape_text(info.shape));
}

std::vector<std::string> read_label_names(const H5File& file, const std::string& path) {
  std::vector<std::string> names;
  if (!file.has_attribute("label_names")) return names;
  const std::string where = path + ": label_names";
  const nlohmann::json json = parse_json(file.string_attribute("label_names"), where);
  check(json.is_array() && json.size() <= kMaxLabelNames, ExitCode::kCorrupt,
      "{}: expected an array of at most {} names, got {} of {}", where, kMaxLabelNames, json.type_name(), json.size());
  for (const auto& name : json) {
    check(name.is_string() && name.get_ref<const std::string&>().size() <= kMaxLabelNameBytes, ExitCode::kCorrupt,
        "{}: expected strings of at most {} bytes, got an entry of another kind", where, kMaxLabelNameBytes);
    names.push_back(name.get<std::string>());
  }
  return names;
}

}  // namespace

struct Dataset::Impl {
  explicit Impl(const std::filesystem::path& path) : raw(path) {}

  storage::ReadOnlyFile raw;
  ImageShape shape;
  std::int64_t count = 0;
  std::uint64_t pixels_offset = 0, pixels_bytes = 0;
  std::string images_hash, source;
  std::vector<std::string> label_names;
  std::vector<std::int64_t> labels;
  std::vector<Attribute> attributes;
  std::string attributes_json;                 // as stored; "" without
  std::vector<std::uint8_t> attribute_values;  // [N,A]
  std::vector<std::uint64_t> hashes;           // of each image, or empty
  std::vector<std::int64_t> members[2];
  std::once_flag kept_once;
  std::vector<std::byte> kept;  // all pixels, filled by the first read()

  void read_images(std::uint64_t first, std::span<std::byte> out) const {
    raw.read_at(pixels_offset + first * static_cast<std::uint64_t>(shape.size()), out);
  }
  void keep_all();
  void check_image(std::uint64_t image, std::span<const std::byte> pixels) const;
  void check_pixels(const std::string& got) const;
  void load_labels(const H5File& file);
  void load_attributes(const H5File& file);
  std::vector<std::uint8_t> load_splits(const H5File& file);
  void check_content(const H5File& file, const std::vector<std::uint8_t>& splits);
};

void Dataset::Impl::check_pixels(const std::string& got) const {
  check(got == images_hash, ExitCode::kCorrupt,
      "{}: images_hash: expected {}, got {}: the pixels are damaged; remove the file and import it again",
      raw.path().string(), images_hash, got);
}

void Dataset::Impl::keep_all() {
  std::vector<std::byte> pixels(pixels_bytes);
  read_images(0, pixels);
  check_pixels(storage::hash_bytes(pixels));
  kept = std::move(pixels);
}

void Dataset::Impl::check_image(std::uint64_t image, std::span<const std::byte> pixels) const {
  if (hashes.empty()) return;
  const std::uint64_t got = storage::hash64(pixels);
  check(got == hashes[image], ExitCode::kCorrupt,
      "{}: image {}: expected hash {:016x}, got {:016x}: the pixels are damaged; remove the file and import it again",
      raw.path().string(), image, hashes[image], got);
}

void Dataset::Impl::load_labels(const H5File& file) {
  const std::string path = raw.path().string();
  label_names = read_label_names(file, path);
  if (!file.has("labels")) return;
  check_vector(file.info("labels"), H5Type::kI64, static_cast<std::uint64_t>(count), "labels", path);
  labels = file.read_all<std::int64_t>("labels", H5Type::kI64);
  const std::int64_t bound =
      label_names.empty() ? static_cast<std::int64_t>(kMaxLabelNames) : static_cast<std::int64_t>(label_names.size());
  for (std::size_t i = 0; i < labels.size(); ++i)
    check(labels[i] >= 0 && labels[i] < bound, ExitCode::kCorrupt, "{}: labels: expected 0 to {}, got {} for image {}",
        path, bound - 1, labels[i], i);
}

void Dataset::Impl::load_attributes(const H5File& file) {
  if (!file.has_attribute("attributes")) return;
  const std::string path = raw.path().string();
  attributes_json = file.string_attribute("attributes");
  const std::int64_t num_labels = labels.empty() ? 0 : static_cast<std::int64_t>(label_names.size());
  attributes = parse_attributes(attributes_json, num_labels, path + ": attributes");
  const H5Info info = file.info("attributes");
  const std::vector<std::uint64_t> expected = {static_cast<std::uint64_t>(count), attributes.size()};
  check(info.type == H5Type::kU8 && info.shape == expected, ExitCode::kCorrupt,
      "{}: attributes: expected u8 {}, got {} {}", path, shape_text(expected), storage::name_of(info.type),
      shape_text(info.shape));
  attribute_values = file.read_all<std::uint8_t>("attributes", H5Type::kU8);
  for (std::size_t i = 0; i < attribute_values.size(); ++i) {
    const Attribute& a = attributes[i % attributes.size()];
    check(attribute_values[i] < a.categories.size(), ExitCode::kCorrupt,
        "{}: attributes: '{}': expected 0 to {}, got {} for image {}", path, a.name, a.categories.size() - 1,
        attribute_values[i], i / attributes.size());
  }
}

std::vector<std::uint8_t> Dataset::Impl::load_splits(const H5File& file) {
  std::vector<std::uint8_t> splits(static_cast<std::size_t>(count), static_cast<std::uint8_t>(Split::kTrain));
  if (file.has("splits")) {
    check_vector(file.info("splits"), H5Type::kU8, static_cast<std::uint64_t>(count), "splits", raw.path().string());
    splits = file.read_all<std::uint8_t>("splits", H5Type::kU8);
  }
  for (std::size_t i = 0; i < splits.size(); ++i) {
    check(splits[i] <= 1, ExitCode::kCorrupt, "{}: splits: expected 0 (train) or 1 (test), got {} for image {}",
        raw.path().string(), splits[i], i);
    members[splits[i]].push_back(static_cast<std::int64_t>(i));
  }
  return splits;
}

void Dataset::Impl::check_content(const H5File& file, const std::vector<std::uint8_t>& splits) {
  const std::string path = raw.path().string();
  if (file.has("hash")) {
    check_vector(file.info("hash"), H5Type::kU64, static_cast<std::uint64_t>(count), "hash", path);
    hashes = file.read_all<std::uint64_t>("hash", H5Type::kU64);
  }
  if (!file.has_attribute("content_hash")) return;
  const std::string expected = file.string_attribute("content_hash");
  const std::string names = file.has_attribute("label_names") ? file.string_attribute("label_names") : "";
  const std::string got =
      content_hash({images_hash, source, names}, shape, labels, splits, hashes, attributes_json, attribute_values);
  check(got == expected, ExitCode::kCorrupt,
      "{}: content_hash: expected {}, got {}: labels, splits or header are damaged; "
      "remove the file and import it again",
      path, expected.substr(0, 64), got);
}

Dataset::Dataset(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset::~Dataset() = default;

Dataset Dataset::open(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>(path);
  const std::string name = path.string();
  const H5File file = H5File::open(path);
  const std::string format = file.has_attribute("format") ? file.string_attribute("format") : "none";
  check(format == "hebm-dataset", ExitCode::kCorrupt,
      "{}: expected a file of format hebm-dataset, got \"{}\" (hebm_data import-idx writes data sets)", name,
      format.substr(0, 64));
  const std::int64_t version = file.int_attribute("version");
  check(version == 1, ExitCode::kCorrupt, "{}: expected data set version 1, got {}", name, version);
  const H5Info info = file.info("images");
  impl->shape = check_images(info, name);
  impl->count = static_cast<std::int64_t>(info.shape[0]);
  impl->pixels_offset = info.file_offset;
  impl->pixels_bytes = info.bytes;
  impl->images_hash = file.string_attribute("images_hash");
  check(storage::is_hash(impl->images_hash), ExitCode::kCorrupt, "{}: images_hash: expected 32 hex digits, got \"{}\"",
      name, impl->images_hash.substr(0, 64));
  if (file.has_attribute("source")) impl->source = file.string_attribute("source");
  impl->load_labels(file);
  impl->load_attributes(file);
  impl->check_content(file, impl->load_splits(file));
  return Dataset(std::move(impl));
}

const std::filesystem::path& Dataset::path() const { return impl_->raw.path(); }
std::int64_t Dataset::size() const { return impl_->count; }
ImageShape Dataset::shape() const { return impl_->shape; }
const std::string& Dataset::images_hash() const { return impl_->images_hash; }
const std::string& Dataset::source() const { return impl_->source; }
const std::vector<std::string>& Dataset::label_names() const { return impl_->label_names; }
const std::vector<std::int64_t>& Dataset::labels() const { return impl_->labels; }
const std::vector<Attribute>& Dataset::attributes() const { return impl_->attributes; }
std::vector<std::int64_t> Dataset::attribute_values(std::size_t attribute) const {
  const std::size_t width = impl_->attributes.size();
  check(attribute < width, ExitCode::kRuntime, "{}: {} attributes, number {} is asked for", path().string(), width,
      attribute);
  std::vector<std::int64_t> out;
  for (std::size_t i = attribute; i < impl_->attribute_values.size(); i += width)
    out.push_back(impl_->attribute_values[i]);
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
  const auto size = static_cast<std::size_t>(impl_->shape.size());
  for (const std::int64_t i : index)
    check(i >= 0 && i < impl_->count, ExitCode::kRuntime, "{}: expected image numbers 0 to {}, got {}", path().string(),
        impl_->count - 1, i);
  const bool keep = impl_->pixels_bytes <= kKeepBytes;
  if (keep) std::call_once(impl_->kept_once, [this] { impl_->keep_all(); });
  ImageBatch batch;
  batch.shape = impl_->shape;
  batch.count = static_cast<std::int64_t>(index.size());
  batch.index.assign(index.begin(), index.end());
  batch.pixels.resize(index.size() * size);
  auto* out = reinterpret_cast<std::byte*>(batch.pixels.data());
  for (std::size_t i = 0; i < index.size(); ++i, out += size) {
    const auto image = static_cast<std::uint64_t>(index[i]);
    if (keep) {
      std::copy_n(impl_->kept.data() + image * size, size, out);
    } else {
      impl_->read_images(image, {out, size});
      impl_->check_image(image, {out, size});
    }
  }
  return batch;
}

void Dataset::verify() const {
  storage::Hasher hasher;
  std::vector<std::byte> block(std::min(kBlockBytes, impl_->pixels_bytes));
  for (std::uint64_t done = 0; done < impl_->pixels_bytes; done += block.size()) {
    const std::span<std::byte> part(block.data(), std::min<std::uint64_t>(block.size(), impl_->pixels_bytes - done));
    impl_->raw.read_at(impl_->pixels_offset + done, part);
    hasher.update(part);
  }
  impl_->check_pixels(hasher.digest());
}

}  // namespace hebm::data
