#include "storage/safetensors_header.h"
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include "storage/printable.h"

namespace hebm::storage::detail {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxRank = 32;

// { "__metadata__": {text: text}, NAME: {"dtype": text, "shape": [n...], "data_offsets": [begin,
// end]} }, nothing else. nlohmann's SAX parser keeps its own stack, and no level below the third is
// ever accepted.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(const fs::path& file, StHeader& header) : file_(file), header_(header) {}

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
      type_ = type_of(value);
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
    const std::uint64_t extent = st_extent(
        *type_, *shape_, ExitCode::kCorrupt, fmt::format("{}: tensor \"{}\"", file_.string(), printable(name_)));
    if (end < begin || static_cast<std::uint64_t>(end - begin) != extent) {
      refuse(fmt::format("data_offsets [{}, {}] do not hold the {} bytes of its shape", begin, end, extent));
    }
    header_.entries.emplace(name_, StEntry{*type_, *shape_, static_cast<std::uint64_t>(begin), extent});
  }

  const fs::path& file_;
  StHeader& header_;
  Place place_ = Place::kStart;
  std::string name_, field_;  // the keys we are below
  bool has_metadata_ = false;
  std::optional<StType> type_;
  std::optional<std::vector<std::int64_t>> shape_, offsets_;
};

void check_cover(const StHeader& header, const fs::path& file, std::uint64_t data_bytes) {
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

}  // namespace

std::uint64_t st_extent(StType type, const std::vector<std::int64_t>& shape, ExitCode code, const std::string& what) {
  std::int64_t extent = static_cast<std::int64_t>(size_of(type));
  for (const std::int64_t dim : shape) {
    check(
        dim >= 0 && !__builtin_mul_overflow(extent, dim, &extent), code, "{}: dimension {} is out of range", what, dim);
  }
  return static_cast<std::uint64_t>(extent);
}

StHeader parse_st_header(std::string_view text, const fs::path& file, std::uint64_t data_bytes) {
  check(!text.empty() && text.front() == '{', ExitCode::kCorrupt, "{}: the safetensors header does not start with '{{'",
      file.string());
  check(text.find('\0') == std::string_view::npos, ExitCode::kCorrupt, "{}: the safetensors header has a zero byte",
      file.string());  // where the parser would stop
  StHeader header;
  HeaderReader reader(file, header);
  const bool ok = Json::sax_parse(text, &reader);
  check(ok, ExitCode::kCorrupt, "{}: the safetensors header is not JSON", file.string());
  check_cover(header, file, data_bytes);
  return header;
}

}  // namespace hebm::storage::detail
