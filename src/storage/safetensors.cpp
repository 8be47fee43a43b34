#include "storage/safetensors.h"
#include <zlib.h>
#include <algorithm>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include "base/error.h"
#include "base/printable.h"
#include "base/text.h"
#include "storage/hash.h"

namespace hebm::storage {

static_assert(std::endian::native == std::endian::little, "the container is little-endian");

namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kAlignment = 8;
constexpr std::size_t kMaxRank = 32;

// shape product * item size; Error(code) on a negative dimension or overflow, with `what` in front.
std::uint64_t extent_of(StType type, const std::vector<std::int64_t>& shape, ExitCode code, const std::string& what) {
  std::int64_t extent = static_cast<std::int64_t>(size_of(type));
  for (const std::int64_t dim : shape) {
    check(
        dim >= 0 && !__builtin_mul_overflow(extent, dim, &extent), code, "{}: dimension {} is out of range", what, dim);
  }
  return static_cast<std::uint64_t>(extent);
}

// Tensors in the order given, padded with spaces so that the data part is aligned to 8 bytes.
std::string make_header(
    const fs::path& path, std::span<const StTensor> tensors, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const StTensor& tensor : tensors) {
    const std::string what = fmt::format("{}: tensor \"{}\"", path.string(), tensor.name);
    check(!tensor.name.empty() && tensor.name != "__metadata__", ExitCode::kRuntime, "{}: is not a good name", what);
    check(names.insert(tensor.name).second, ExitCode::kRuntime, "{}: was given twice", what);
    const std::uint64_t extent = extent_of(tensor.type, tensor.shape, ExitCode::kRuntime, what);
    check(tensor.data.size() == extent, ExitCode::kRuntime, "{}: {} bytes given, its shape has {}", what,
        tensor.data.size(), extent);
    // push_back: an insertion by key would search all keys of the ordered object each time.
    header.get_ref<nlohmann::ordered_json::object_t&>().push_back({tensor.name,
        {{"dtype", name_of(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + extent}}}});
    offset += extent;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error& error) {
    fail(ExitCode::kRuntime, "{}: a tensor's name or the metadata is not UTF-8: {}", path.string(), error.what());
  }
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  check(text.size() <= kMaxHeader, ExitCode::kRuntime, "{}: a header of {} bytes, at most {} are allowed",
      path.string(), text.size(), kMaxHeader);
  return text;
}

struct Header {
  std::map<std::string, StEntry> entries;
  std::map<std::string, std::string> metadata;
};

// { "__metadata__": {text: text}, NAME: {"dtype": text, "shape": [n...], "data_offsets": [begin,
// end]} }, nothing else. nlohmann's SAX parser keeps its own stack, and no level below the third is
// ever accepted.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(const fs::path& file, Header& header) : file_(file), header_(header) {}

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t value) override { return number(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) refuse("a number is over 2^63");
    return number(static_cast<std::int64_t>(value));
  }
  bool number_float(number_float_t, const string_t& text) override { return unexpected(printable(text, 40)); }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      header_.metadata.emplace(field_, value);
    } else if (place_ == Place::kTensor && field_ == "dtype" && !type_) {
      type_ = value_named<StType>(value);
      if (!type_) {
        refuse(fmt::format("dtype {} is not one of U8, I32, I64, F16, BF16, F32, F64", printable(value, 40)));
      }
    } else {
      unexpected("a text");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kRoot;
    } else if (place_ == Place::kRoot) {
      place_ = name_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
      type_.reset();
      shape_.reset();
      offsets_.reset();
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(string_t& value) override {
    if (place_ == Place::kRoot) {
      const bool known = value == "__metadata__" ? std::exchange(has_metadata_, true) : header_.entries.contains(value);
      name_ = value;
      if (known) refuse("stands there twice");
    } else {
      field_ = value;
      if (place_ == Place::kMetadata && header_.metadata.contains(value)) refuse("stands there twice");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) finish_tensor();
    place_ = place_ == Place::kRoot ? Place::kEnd : Place::kRoot;
    field_.clear();
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor) unexpected("a list");
    place_ = Place::kList;
    auto& list = field_ == "shape" ? shape_ : offsets_;
    if ((field_ != "shape" && field_ != "data_offsets") || list) unexpected("a list");
    list.emplace();
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    fail(ExitCode::kCorrupt, "{}: the safetensors header is not JSON at byte {}: {}", file_.string(), position,
        printable(error.what(), 300));
  }
 private:
  enum class Place { kStart, kRoot, kMetadata, kTensor, kList, kEnd };

  [[noreturn]] void refuse(std::string_view reason) const {
    fail(ExitCode::kCorrupt, "{}: safetensors header: \"{}\"{}{}: {}", file_.string(), printable(name_),
        field_.empty() ? "" : ", ", printable(field_), reason);
  }
  bool unexpected(std::string_view what) const { refuse(fmt::format("{} is not expected here", what)); }

  bool number(std::int64_t value) {
    if (place_ != Place::kList) unexpected("a number");
    if (value < 0) refuse(fmt::format("{} is negative", value));
    auto& list = field_ == "shape" ? *shape_ : *offsets_;
    if (list.size() >= kMaxRank) refuse(fmt::format("more than {} numbers", kMaxRank));
    list.push_back(value);
    return true;
  }

  void finish_tensor() {
    field_.clear();
    if (!type_ || !shape_ || !offsets_ || offsets_->size() != 2) refuse("needs dtype, shape and two data_offsets");
    const std::int64_t begin = offsets_->at(0), end = offsets_->at(1);
    const std::uint64_t extent = extent_of(
        *type_, *shape_, ExitCode::kCorrupt, fmt::format("{}: tensor \"{}\"", file_.string(), printable(name_)));
    if (end < begin || static_cast<std::uint64_t>(end - begin) != extent) {
      refuse(fmt::format("data_offsets [{}, {}] do not hold the {} bytes of its shape", begin, end, extent));
    }
    header_.entries.emplace(name_, StEntry{*type_, *shape_, static_cast<std::uint64_t>(begin), extent});
  }

  const fs::path& file_;
  Header& header_;
  Place place_ = Place::kStart;
  std::string name_, field_;  // the keys we are below
  bool has_metadata_ = false;
  std::optional<StType> type_;
  std::optional<std::vector<std::int64_t>> shape_, offsets_;
};

void check_cover(const Header& header, const fs::path& file, std::uint64_t data_bytes) {
  std::vector<std::pair<const std::string*, const StEntry*>> order;
  order.reserve(header.entries.size());
  for (const auto& [name, entry] : header.entries) order.emplace_back(&name, &entry);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->offset, a.second->bytes) < std::pair(b.second->offset, b.second->bytes);
  });
  std::uint64_t covered = 0;
  for (const auto& [name, entry] : order) {
    check(entry->offset == covered, ExitCode::kCorrupt,
        "{}: tensor \"{}\" starts at byte {} of the data, expected {} (no overlap, no holes)", file.string(),
        printable(*name), entry->offset, covered);
    check(entry->bytes <= data_bytes - covered, ExitCode::kCorrupt,
        "{}: tensor \"{}\" ends at byte {} of the data, which has {}", file.string(), printable(*name),
        entry->offset + entry->bytes, data_bytes);
    covered += entry->bytes;
  }
  check(covered == data_bytes, ExitCode::kCorrupt, "{}: the tensors cover {} bytes of data, the file has {}",
      file.string(), covered, data_bytes);
}

// Error(kCorrupt) unless the tensors cover the data part without overlap or holes.
Header parse_header(std::string_view text, const fs::path& file, std::uint64_t data_bytes) {
  check(!text.empty() && text.front() == '{', ExitCode::kCorrupt, "{}: the safetensors header does not start with '{{'",
      file.string());
  check(text.find('\0') == std::string_view::npos, ExitCode::kCorrupt, "{}: the safetensors header has a zero byte",
      file.string());  // where the parser would stop
  Header header;
  HeaderReader reader(file, header);
  const bool ok = Json::sax_parse(text, &reader);
  check(ok, ExitCode::kCorrupt, "{}: the safetensors header is not JSON", file.string());
  check_cover(header, file, data_bytes);
  return header;
}

// For a message only: looks at no more names, and no longer ones, than is quick.
std::string nearest_name(const std::map<std::string, StEntry>& entries, std::string_view name) {
  constexpr std::size_t kLook = 4096, kLong = 256;
  std::string best;
  std::size_t best_distance = std::string::npos, looked = 0;
  for (const auto& [candidate, entry] : entries) {
    if (++looked > kLook) break;
    if (candidate.size() > kLong) continue;
    const std::size_t distance = edit_distance(candidate, name.substr(0, kLong));
    if (distance < best_distance) std::tie(best_distance, best) = std::tuple(distance, candidate);
  }
  return best;
}

}  // namespace

HashedFileWriter::Result write_safetensors(
    const fs::path& path, std::span<const StTensor> tensors, const std::map<std::string, std::string>& metadata) {
  const std::string header = make_header(path, tensors, metadata);
  const std::uint64_t length = header.size();
  HashedFileWriter writer(path);
  writer.write(as_bytes(&length, 1));
  writer.write(as_bytes(header.data(), header.size()));
  for (const StTensor& tensor : tensors) writer.write(tensor.data);
  return writer.close_durable();
}

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(std::make_shared<const ReadOnlyFile>(path)) {
  std::uint64_t length = 0;
  check(file_->size() >= sizeof length, ExitCode::kCorrupt, "{}: {} bytes are too few for a safetensors file",
      path.string(), file_->size());
  file_->read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  const std::uint64_t room = std::min(kMaxHeader, file_->size() - sizeof length);
  check(length <= room, ExitCode::kCorrupt, "{}: a safetensors header of {} bytes, expected at most {}", path.string(),
      length, room);
  data_start_ = sizeof length + length;
  Header header = parse_header(file_->text(sizeof length, length), path, file_->size() - data_start_);
  entries_ = std::move(header.entries);
  metadata_ = std::move(header.metadata);
}

const StEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found != entries_.end()) return found->second;
  const std::string nearest = nearest_name(entries_, name);
  fail(ExitCode::kCorrupt, "{}: has no tensor \"{}\" among {}; {}", path().string(), name, entries_.size(),
      nearest.empty() ? "there is none to suggest" : fmt::format("the nearest is \"{}\"", printable(nearest)));
}

void SafetensorsFile::read(const std::string& name, std::span<std::byte> out) const {
  const StEntry& found = entry(name);
  check(out.size() == found.bytes, ExitCode::kRuntime, "{}: tensor \"{}\" has {} bytes, the buffer has {}",
      path().string(), name, found.bytes, out.size());
  file_->read_at(data_start_ + found.offset, out);
}

std::string SafetensorsFile::data_crc32() const {
  uLong crc = crc32(0L, Z_NULL, 0);
  file_->read_blocks(data_start_, file_->size(), [&](std::span<const std::byte> block) {
    crc = crc32(crc, reinterpret_cast<const Bytef*>(block.data()), static_cast<uInt>(block.size()));
  });
  return fmt::format("{:08x}", crc);
}

}  // namespace hebm::storage
