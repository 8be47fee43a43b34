// The safetensors container: u64 header length, JSON header, raw little-endian data. Header <= 100
// MB, offsets without overlap or holes, shape * size == extent, all checked before a byte of data
// is touched: Error(kCorrupt) names the tensor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>
#include "storage/files.h"

namespace hebm::storage {

enum class StType { kU8, kI32, kI64, kF16, kBF16, kF32, kF64 };
std::size_t size_of(StType type);
std::string_view name_of(StType type);  // "F32", ...

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

// New file (O_EXCL), fsynced; hash is computed from memory while writing. Tensors are written in
// the order given.
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
  // CRC-32 (zlib's) of the whole data part as 8 hex digits: what files written without xxh3 carry
  // in their metadata.
  std::string data_crc32() const;
  const fs::path& path() const { return file_->path(); }
 private:
  std::shared_ptr<const ReadOnlyFile> file_;
  std::uint64_t data_start_ = 0;
  std::map<std::string, StEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace hebm::storage
