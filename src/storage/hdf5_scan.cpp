#include "storage/hdf5_scan.h"
#include <fmt/ranges.h>
#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include "base/printable.h"
#include "base/text.h"
#include "storage/hdf5_objects.h"

namespace hebm::storage::detail {

static_assert(std::endian::native == std::endian::little, "files are little-endian and read without conversion");

namespace {

constexpr std::size_t kMaxObjects = 100000, kMaxAttributes = 1024, kMaxAttributeBytes = 16 << 20;

struct FileType {
  std::optional<H5Type> number;  // none: not a type of ours
  bool is_text = false;          // of fixed length
  std::uint64_t bytes = 0;
};

struct FloatLayout {
  H5Type type;
  std::uint64_t bytes, sign, exponent, exponent_bits, mantissa_bits, bias;
};
constexpr FloatLayout kFloats[] = {{H5Type::kF16, 2, 15, 10, 5, 10, 15}, {H5Type::kF32, 4, 31, 23, 8, 23, 127},
    {H5Type::kF64, 8, 63, 52, 11, 52, 1023}};
struct IntegerLayout {
  H5Type type;
  std::uint64_t bytes;
  bool is_signed;
};
constexpr IntegerLayout kIntegers[] = {
    {H5Type::kU8, 1, false}, {H5Type::kI32, 4, true}, {H5Type::kI64, 8, true}, {H5Type::kU64, 8, false}};

FileType parse_type(const H5Source& source, std::span<const std::byte> bytes) {
  Cursor cursor(source, bytes);
  const std::uint64_t kind = cursor.number(1) & 0xf, bits = cursor.number(3);
  FileType out;
  out.is_text = kind == 3;
  out.bytes = cursor.number(4);
  if (kind > 1) return out;
  const bool is_whole = cursor.number(2) == 0 && cursor.number(2) == 8 * out.bytes;  // no bits beside it
  if (kind == 0) {
    const auto* const found = std::ranges::find_if(
        kIntegers, [&](const IntegerLayout& i) { return i.bytes == out.bytes && i.is_signed == ((bits & 8) != 0); });
    if (is_whole && (bits & 1) == 0 && found != std::end(kIntegers)) out.number = found->type;
    return out;
  }
  const std::uint64_t exponent = cursor.number(1), exponent_bits = cursor.number(1), mantissa = cursor.number(1),
                      mantissa_bits = cursor.number(1), bias = cursor.number(4);
  const auto* const found = std::ranges::find(kFloats, out.bytes, &FloatLayout::bytes);
  constexpr std::uint64_t kBigEndian = 0x41, kImpliedOne = 2;
  const bool fits = is_whole && found != std::end(kFloats) && (bits & kBigEndian) == 0 &&
                    (bits >> 4 & 3) == kImpliedOne && (bits >> 8 & 0xff) == found->sign &&
                    exponent == found->exponent && exponent_bits == found->exponent_bits && mantissa == 0 &&
                    mantissa_bits == found->mantissa_bits && bias == found->bias;
  if (fits) out.number = found->type;
  return out;
}

// None: a null space, or of too many dimensions.
std::optional<std::vector<std::uint64_t>> parse_space(const H5Source& source, std::span<const std::byte> bytes) {
  Cursor cursor(source, bytes);
  const std::uint64_t version = cursor.number(1), rank = cursor.number(1);
  source.expect(version == 1 || version == 2, "a shape of unknown version {}", version);
  cursor.skip(1);
  const bool is_null = cursor.number(1) == 2 && version == 2;
  cursor.skip(version == 1 ? 4 : 0);
  if (is_null || rank > kMaxRank) return {};
  std::vector<std::uint64_t> dims;
  for (std::uint64_t i = 0; i < rank; ++i) dims.push_back(cursor.number(8));
  return dims;
}

std::pair<std::string, H5Attribute> parse_attribute(const H5Source& source, std::span<const std::byte> bytes) {
  Cursor cursor(source, bytes);
  const std::uint64_t version = cursor.number(1), flags = cursor.number(1);
  source.expect(version >= 1 && version <= 3, "an attribute of unknown version {}", version);
  const std::uint64_t name_bytes = cursor.number(2), type_bytes = cursor.number(2), space_bytes = cursor.number(2);
  cursor.skip(version == 3 ? 1 : 0);
  const auto padded = [&](std::uint64_t size) { return version == 1 ? (size + 7) / 8 * 8 : size; };
  std::string name = cursor.text(padded(name_bytes));
  name.resize(std::min(name.find('\0'), name.size()));
  const auto type_part = cursor.take(padded(type_bytes)), space_part = cursor.take(padded(space_bytes));
  H5Attribute out;
  if (version > 1 && (flags & 3) != 0) return {name, out};  // its type is kept elsewhere: not written by us
  const FileType type = parse_type(source, type_part);
  const auto shape = parse_space(source, space_part);
  out.is_single = shape && shape->empty();
  out.bytes = type.bytes;
  if (out.is_single && type.number == H5Type::kI64) {
    out.kind = H5Attribute::Kind::kInteger;
    out.integer = static_cast<std::int64_t>(cursor.number(8));
  } else if (out.is_single && type.is_text) {
    out.kind = H5Attribute::Kind::kText;
    if (type.bytes > kMaxString + 1) return {name, out};
    out.text = cursor.text(type.bytes);
    out.text.resize(std::min(out.text.find('\0'), out.text.size()));  // ends at a zero byte or fills the field
  }
  return {name, out};
}

std::string_view name_of_link(H5Link::Target target) {
  using Target = H5Link::Target;
  return target == Target::kSoft        ? "a soft link"
         : target == Target::kOtherFile ? "a link to another file"
                                        : "an unknown link";
}

class Scanner {
 public:
  explicit Scanner(const ReadOnlyFile& file) : source_(file) {}

  H5Content run() {
    const H5Object root = enter_object("root group", root_address());
    source_.expect(is_group(root), "is not a group");
    read_attributes(root);
    scan_group("", root);
    while (!groups_.empty()) {
      const auto [name, address] = std::move(groups_.back());
      groups_.pop_back();
      scan_group(name, enter_object(quoted(name), address));
    }
    return std::move(content_);
  }
 private:
  template <class... Args>
  [[noreturn]] void refuse(const std::string& name, fmt::format_string<Args...> format, Args&&... args) const {
    fail(ExitCode::kCorrupt, "{}: {} {}; refused: only hard-linked, contiguous, unfiltered datasets are read",
        source_.path().string(), quoted(name), fmt::format(format, std::forward<Args>(args)...));
  }
  static std::string quoted(const std::string& name) { return fmt::format("\"{}\"", printable(name)); }

  std::uint64_t root_address() {
    constexpr std::uint64_t kOffsets = 8, kOpenForWriting = 5;
    const std::uint64_t size = source_.size();
    const Bytes bytes = source_.read(0, std::min<std::uint64_t>(size, 100));
    source_.expect(size >= 48 && std::memcmp(bytes.data(), "\x89HDF\r\n\x1a\n", 8) == 0, "file signature not found");
    Cursor cursor(source_, bytes, 8);
    const std::uint64_t version = cursor.number(1);
    source_.expect(version <= 3, "a superblock of unknown version {}", version);
    cursor.skip(version < 2 ? 4 : 0);
    const std::uint64_t offset_bytes = cursor.number(1), length_bytes = cursor.number(1);
    source_.expect(offset_bytes == kOffsets && length_bytes == kOffsets, "addresses of {} bytes, expected {}",
        offset_bytes, kOffsets);
    const std::uint64_t flags = version < 2 ? 0 : cursor.number(1);
    cursor.skip(version == 0 ? 9 : version == 1 ? 13 : 0);
    source_.expect(cursor.address() == 0, "it does not start at its first byte");
    cursor.skip(8);
    const std::uint64_t end = cursor.address();
    cursor.skip(version < 2 ? 16 : 0);
    const std::uint64_t root = cursor.address();
    if (version >= 2) {
      const std::uint32_t got = lookup3(std::span(bytes).first(44));
      source_.expect(cursor.number(4) == got, "the superblock has another check sum than {:08x}", got);
    }
    source_.expect(end <= size, "truncated file: {} bytes, expected {}", size, end);
    source_.expect(version < 3 || (flags & kOpenForWriting) == 0, "its writer did not close it");
    return root;
  }

  static bool is_group(const H5Object& object) {
    return object.find(H5Kind::kSymbolTable) != nullptr || object.find(H5Kind::kLinkInfo) != nullptr;
  }

  H5Object enter_object(const std::string& place, std::uint64_t address) {
    source_.enter(place);
    addresses_.insert(address);
    return read_object(source_, address);
  }

  void read_attributes(const H5Object& root) {
    std::size_t bytes = 0;
    each_attribute(source_, root, kMaxString + 2 * kMaxName, [&](std::span<const std::byte> message) {
      bytes += message.size();
      source_.expect(content_.attributes.size() < kMaxAttributes && bytes <= kMaxAttributeBytes,
          "more than {} attributes or {} bytes of them", kMaxAttributes, kMaxAttributeBytes);
      content_.attributes.insert(parse_attribute(source_, message));
    });
  }

  void scan_group(const std::string& group, const H5Object& object) {
    std::vector<H5Link> links;
    const std::size_t room = kMaxObjects - std::min(kMaxObjects, addresses_.size());
    each_link(source_, object, [&](H5Link link) {
      if (links.size() >= room) refuse(group, "brings the file to more than {} objects", kMaxObjects);
      if (link.name.size() > kMaxName) refuse(group, "holds a name of more than {} bytes", kMaxName);
      links.push_back(std::move(link));
    });
    for (const H5Link& link : links) scan_link(group, link);
  }

  void scan_link(const std::string& group, const H5Link& link) {
    const std::string name = group.empty() ? link.name : group + "/" + link.name;
    if (link.name.find('/') != std::string::npos || !is_good_name(name)) refuse(name, "is not a name of ours");
    if (link.target != H5Link::Target::kObject) refuse(name, "is {}", name_of_link(link.target));
    // Also ends cycles of groups.
    if (addresses_.contains(link.address)) refuse(name, "is a second name of another object");
    if (addresses_.size() >= kMaxObjects) refuse(name, "brings the file to more than {} objects", kMaxObjects);
    const H5Object object = enter_object(quoted(name), link.address);
    if (is_group(object)) {
      groups_.emplace_back(name, link.address);
    } else if (object.find(H5Kind::kType) != nullptr && object.find(H5Kind::kSpace) != nullptr) {
      content_.datasets.emplace(name, check_dataset(name, object));
    } else {
      refuse(name, "is neither a group nor a dataset");
    }
  }

  H5Info check_dataset(const std::string& name, const H5Object& object) const {
    const H5Message *layout = object.find(H5Kind::kLayout), *filters = object.find(H5Kind::kFilters),
                    *type = object.find(H5Kind::kType), *space = object.find(H5Kind::kSpace);
    source_.expect(layout != nullptr && !layout->is_shared && !space->is_shared, "a dataset without a layout or shape");
    Cursor place(source_, layout->bytes);
    const std::uint64_t version = place.number(1);
    if (version < 3 || version > 4) refuse(name, "has a layout of version {}", version);
    const std::uint64_t kind = place.number(1);
    constexpr std::string_view kLayouts[] = {"compact", "contiguous", "chunked", "virtual", "unknown"};
    if (kind != 1) refuse(name, "has a {} layout", kLayouts[std::min<std::uint64_t>(kind, 4)]);
    if (object.find(H5Kind::kExternal) != nullptr) refuse(name, "keeps its data in another file");
    if (filters != nullptr && (filters->is_shared || Cursor(source_, filters->bytes, 1).number(1) != 0))
      refuse(name, "has filters");
    const auto number = type->is_shared ? std::nullopt : parse_type(source_, type->bytes).number;
    if (!number) refuse(name, "has a type other than little-endian u8, i32, i64, u64, f16, f32 or f64");
    const auto shape = parse_space(source_, space->bytes);
    if (!shape) refuse(name, "has no shape of 0 to {} dimensions", kMaxRank);
    H5Info info{*number, *shape, 0, 0};
    const auto bytes = bytes_of(info.shape, info.type);
    if (!bytes || *bytes > source_.size()) {
      refuse(name, "claims shape [{}] of {}, more than the {} bytes of the file", fmt::join(info.shape, ", "),
          name_of(info.type), source_.size());
    }
    info.bytes = *bytes;
    const std::uint64_t offset = place.address(), stored = place.number(8);
    if (info.bytes > 0) info.file_offset = check_extent(name, info.bytes, offset, stored);
    return info;
  }

  std::uint64_t check_extent(
      const std::string& name, std::uint64_t bytes, std::uint64_t offset, std::uint64_t stored) const {
    if (offset == kNoAddress) refuse(name, "has no data stored");
    if (stored != bytes) refuse(name, "stores {} bytes, expected {}", stored, bytes);
    if (offset > source_.size() || bytes > source_.size() - offset) {
      refuse(name, "ends behind the last byte of a file of {} bytes", source_.size());
    }
    return offset;
  }

  H5Source source_;
  H5Content content_;
  std::set<std::uint64_t> addresses_;
  std::vector<std::pair<std::string, std::uint64_t>> groups_;  // still to be walked
};

}  // namespace

std::optional<std::uint64_t> bytes_of(const std::vector<std::uint64_t>& shape, H5Type type) {
  std::uint64_t product = size_of(type);
  for (const std::uint64_t dim : shape) {
    if (__builtin_mul_overflow(product, std::max<std::uint64_t>(dim, 1), &product) || product >> 63 != 0) return {};
  }
  return std::ranges::count(shape, 0u) > 0 ? 0 : product;
}

bool is_good_name(const std::string& name) {
  if (name.empty() || name.size() > kMaxName) return false;
  if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; })) return false;
  return std::ranges::none_of(
      split(name, '/'), [](const std::string& part) { return part.empty() || part == "." || part == ".."; });
}

H5Content scan_file(const ReadOnlyFile& file) { return Scanner(file).run(); }

}  // namespace hebm::storage::detail
