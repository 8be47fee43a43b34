// The safetensors container: u64 header length, JSON header, raw little-endian data. Header <= 100
// MB, offsets without overlap or holes, shape * size == extent, all checked before a byte of data
// is touched: Error(kCorrupt) names the tensor.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>
#include "base/choice.h"
#include "storage/files.h"

namespace hebm::storage {

enum class StType { kU8, kI32, kI64, kF16, kBF16, kF32, kF64 };
constexpr std::array<Choice<StType>, 7> choices_of(StType) {
  return {{{"U8", StType::kU8}, {"I32", StType::kI32}, {"I64", StType::kI64}, {"F16", StType::kF16},
      {"BF16", StType::kBF16}, {"F32", StType::kF32}, {"F64", StType::kF64}}};
}
constexpr std::size_t size_of(StType type) {
  return std::array<std::size_t, 7>{1, 4, 8, 2, 2, 4, 8}.at(static_cast<std::size_t>(type));
}
using hebm::name_of;

struct StTensor {  // to be written; memory is the caller's, contiguous
  std::string name;
  StType type = StType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;
};

struct StEntry {
  StType type;
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0, bytes = 0;  // within the data part
};

// New file (O_EXCL), fsynced, hashed while it is written. Tensors stand in the order given.
HashedFileWriter::Result write_safetensors(
    const fs::path& path, std::span<const StTensor> tensors, const std::map<std::string, std::string>& metadata);

// Holds the file open: what was checked is what is read, even where the name is replaced meanwhile.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);
  const std::map<std::string, StEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const StEntry& entry(const std::string& name) const;  // absent: Error(kCorrupt) naming file and the nearest name
  // out.size() must be entry(name).bytes.
  void read(const std::string& name, std::span<std::byte> out) const;
  // CRC-32 (zlib's) of the data part, 8 hex digits, which files written without xxh3 carry.
  std::string data_crc32() const;
  const fs::path& path() const { return file_->path(); }
 private:
  std::shared_ptr<const ReadOnlyFile> file_;
  std::uint64_t data_start_ = 0;
  std::map<std::string, StEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace hebm::storage
