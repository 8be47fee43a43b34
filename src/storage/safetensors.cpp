#include "storage/safetensors.h"
#include <zlib.h>
#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>
#include "base/error.h"
#include "base/text.h"
#include "storage/hash.h"
#include "storage/printable.h"
#include "storage/safetensors_header.h"

namespace hebm::storage {

static_assert(std::endian::native == std::endian::little, "the container is little-endian");

namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kAlignment = 8;

struct TypeRow {
  StType type;
  std::string_view name;
  std::size_t bytes;
};
constexpr TypeRow kTypes[] = {{StType::kU8, "U8", 1}, {StType::kI32, "I32", 4}, {StType::kI64, "I64", 8},
    {StType::kF16, "F16", 2}, {StType::kBF16, "BF16", 2}, {StType::kF32, "F32", 4}, {StType::kF64, "F64", 8}};

const TypeRow& row_of(StType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row;
  }
  fail(ExitCode::kRuntime, "StType {} is unknown", static_cast<int>(type));
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
    const std::uint64_t extent = detail::st_extent(tensor.type, tensor.shape, ExitCode::kRuntime, what);
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

std::size_t size_of(StType type) { return row_of(type).bytes; }

std::string_view name_of(StType type) { return row_of(type).name; }

std::optional<StType> detail::type_of(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (row.name == name) return row.type;
  }
  return {};
}

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
  std::string text(length, '\0');
  file_->read_at(sizeof length, {reinterpret_cast<std::byte*>(text.data()), text.size()});
  data_start_ = sizeof length + length;
  detail::StHeader header = detail::parse_st_header(text, path, file_->size() - data_start_);
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
  constexpr std::uint64_t kBlock = 1 << 20;
  std::vector<std::byte> block(kBlock);
  uLong crc = crc32(0L, Z_NULL, 0);
  for (std::uint64_t at = data_start_; at < file_->size(); at += kBlock) {
    const std::span<std::byte> part(block.data(), std::min(kBlock, file_->size() - at));
    file_->read_at(at, part);
    crc = crc32(crc, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size()));
  }
  return fmt::format("{:08x}", crc);
}

}  // namespace hebm::storage
