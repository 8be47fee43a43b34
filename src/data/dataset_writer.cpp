#include <fmt/format.h>
#include <fmt/ranges.h>
#include <array>
#include <nlohmann/json.hpp>
#include <system_error>
#include "base/error.h"
#include "data/dataset.h"
#include "data/new_file.h"
#include "storage/files.h"
#include "storage/hash.h"
#include "storage/hdf5.h"

namespace hebm::data {
namespace {

using storage::H5File;
using storage::H5Type;

constexpr std::size_t kMaxLabels = 65536;

void check_content(const DatasetContent& content, const std::string& path) {
  const ImageShape& shape = content.shape;
  const std::size_t count = content.splits.size();
  check(count >= 1, ExitCode::kCorrupt, "{}: expected at least 1 image, got none", path);
  check((shape.channels == 1 || shape.channels == 3) && shape.height >= 1 && shape.width >= 1, ExitCode::kCorrupt,
      "{}: expected images of 1 or 3 channels, got [{}, {}, {}]", path, shape.channels, shape.height, shape.width);
  check(content.pixels.size() == count * static_cast<std::size_t>(shape.size()), ExitCode::kCorrupt,
      "{}: expected {} images of {} pixels, got {} pixels", path, count, shape.size(), content.pixels.size());
  check(content.labels.empty() || content.labels.size() == count, ExitCode::kCorrupt, "{}: expected {} labels, got {}",
      path, count, content.labels.size());
  check(content.attribute_values.size() == count * content.attributes.size(), ExitCode::kCorrupt,
      "{}: expected {} x {} attribute values, got {}", path, count, content.attributes.size(),
      content.attribute_values.size());
  check_categories(content, path);
}

// Fields of an existing data set that differ from what was to be written; "": none.
std::string difference(const Dataset& set, const DatasetContent& content, const std::string& images_hash) {
  std::vector<std::string> parts;
  const auto add = [&parts](const char* name, const auto& there, const auto& wanted) {
    parts.push_back(fmt::format("{} (there {}, to be written {})", name, there, wanted));
  };
  if (set.size() != static_cast<std::int64_t>(content.splits.size()))
    add("number of images", set.size(), content.splits.size());
  if (!(set.shape() == content.shape))
    add("image shape", fmt::format("{}x{}x{}", set.shape().channels, set.shape().height, set.shape().width),
        fmt::format("{}x{}x{}", content.shape.channels, content.shape.height, content.shape.width));
  if (set.images_hash() != images_hash) add("images_hash", set.images_hash(), images_hash);
  if (set.labels() != content.labels) parts.push_back("labels");
  if (set.content().splits != content.splits) parts.push_back("splits");
  if (set.attributes() != content.attributes || set.content().attribute_values != content.attribute_values)
    parts.push_back("attributes");
  if (set.label_names() != content.label_names)
    add("label names", fmt::format("{}", fmt::join(set.label_names(), ",")),
        fmt::format("{}", fmt::join(content.label_names, ",")));
  return fmt::format("{}", fmt::join(parts, "; "));
}

// An existing file is fine when it is whole and holds the same; everything else names what is wrong
// and what to do.
void accept_existing(const std::filesystem::path& path, const DatasetContent& content, const std::string& images_hash) {
  constexpr const char* kRemedy = "nothing was written: remove that file or choose another name";
  std::string found;
  try {
    const Dataset set = Dataset::open(path);
    found = difference(set, content, images_hash);
    if (found.empty()) set.verify();
  } catch (const Error& error) {
    fail(error.code(), "{} exists and cannot be used ({}); {}", path.string(), error.what(), kRemedy);
  }
  check(found.empty(), ExitCode::kUsage, "{} exists and holds another data set, it differs in {}; {}", path.string(),
      found, kRemedy);
}

std::string label_names_text(const std::vector<std::string>& names, const std::string& path) {
  try {
    return nlohmann::json(names).dump();
  } catch (const nlohmann::json::exception&) {
    fail(ExitCode::kUsage, "{}: expected label names in UTF-8, got other bytes", path);
  }
}

std::vector<std::uint64_t> hash_images(const DatasetContent& content) {
  const auto size = static_cast<std::size_t>(content.shape.size());
  std::vector<std::uint64_t> hashes(content.splits.size());
  for (std::size_t i = 0; i < hashes.size(); ++i)
    hashes[i] = storage::hash64(storage::as_bytes(content.pixels.data() + i * size, size));
  return hashes;
}

void write_content(const std::filesystem::path& path, const DatasetContent& content, const std::string& images_hash,
    const std::string& label_names) {
  const std::uint64_t count = content.splits.size();
  H5File file = H5File::create(path);
  file.set_attribute("format", std::string("hebm-dataset"));
  file.set_attribute("version", std::int64_t{1});
  file.set_attribute("source", content.source);
  file.set_attribute("images_hash", images_hash);
  file.set_attribute("label_names", label_names);
  const ImageShape& shape = content.shape;
  const std::vector<std::uint64_t> hashes = hash_images(content);
  const std::string attributes = content.attributes.empty() ? "" : attributes_text(content.attributes);
  if (!attributes.empty()) file.set_attribute("attributes", attributes);
  file.set_attribute("content_hash", content_hash(content, images_hash, label_names, attributes, hashes));
  file.write("images", H5Type::kU8,
      {count, static_cast<std::uint64_t>(shape.channels), static_cast<std::uint64_t>(shape.height),
          static_cast<std::uint64_t>(shape.width)},
      storage::as_bytes(content.pixels.data(), content.pixels.size()));
  if (!content.labels.empty())
    file.write("labels", H5Type::kI64, {count}, storage::as_bytes(content.labels.data(), content.labels.size()));
  if (!content.attributes.empty())
    file.write("attributes", H5Type::kU8, {count, content.attributes.size()},
        storage::as_bytes(content.attribute_values.data(), content.attribute_values.size()));
  file.write("splits", H5Type::kU8, {count}, storage::as_bytes(content.splits.data(), content.splits.size()));
  file.write("hash", H5Type::kU64, {count}, storage::as_bytes(hashes.data(), hashes.size()));
  file.close_durable();
}

}  // namespace

void check_categories(const DatasetContent& content, const std::string& path) {
  const auto below = [&](const std::string& what, std::int64_t got, std::size_t bound, std::size_t image) {
    check(got >= 0 && got < static_cast<std::int64_t>(bound), ExitCode::kCorrupt,
        "{}: {}: expected 0 to {}, got {} for image {}", path, what, bound - 1, got, image);
  };
  const std::size_t num_labels = content.label_names.empty() ? kMaxLabels : content.label_names.size();
  for (std::size_t i = 0; i < content.labels.size(); ++i) below("labels", content.labels[i], num_labels, i);
  for (std::size_t i = 0; i < content.splits.size(); ++i)
    check(content.splits[i] <= 1, ExitCode::kCorrupt, "{}: splits: expected 0 (train) or 1 (test), got {} for image {}",
        path, content.splits[i], i);
  for (std::size_t i = 0; i < content.attribute_values.size(); ++i) {
    const Attribute& a = content.attributes[i % content.attributes.size()];
    below("attributes: '" + a.name + "'", content.attribute_values[i], a.categories.size(),
        i / content.attributes.size());
  }
}

// Each text goes in with its end, so that none can shift into the next.
std::string content_hash(const DatasetContent& content, const std::string& images_hash, const std::string& label_names,
    const std::string& attributes, std::span<const std::uint64_t> hashes) {
  storage::Hasher hasher;
  const auto add_text = [&](const std::string& text) {
    hasher.update(storage::as_bytes(text.c_str(), text.size() + 1));
  };
  const auto add = [&](const auto& values) { hasher.update(storage::as_bytes(values.data(), values.size())); };
  for (const std::string* text : {&images_hash, &content.source, &label_names}) add_text(*text);
  add(std::array{content.shape.channels, content.shape.height, content.shape.width});
  add(content.labels);
  add(content.splits);
  add(hashes);
  if (!attributes.empty()) {  // sets without have the hash that they always had
    add_text(attributes);
    add(content.attribute_values);
  }
  return hasher.digest();
}

std::string images_hash(const DatasetContent& content) {
  return storage::hash_bytes(storage::as_bytes(content.pixels.data(), content.pixels.size()));
}

std::string write_dataset(const std::filesystem::path& path, const DatasetContent& content) {
  check_content(content, path.string());
  const std::string label_names = label_names_text(content.label_names, path.string());
  const std::string hash = images_hash(content);
  std::error_code error;
  const bool exists = std::filesystem::exists(std::filesystem::symlink_status(path, error));
  if (exists) {
    accept_existing(path, content, hash);
    return hash;
  }
  const std::uint64_t bytes = content.pixels.size() + 17 * content.splits.size() + (std::uint64_t{1} << 20);
  write_new_file(path, bytes,
      [&](const std::filesystem::path& temporary) { write_content(temporary, content, hash, label_names); });
  return hash;
}

}  // namespace hebm::data
