// IDX files (MNIST, Fashion-MNIST), plain or gzip, told apart by their first bytes: big-endian
// magic 00 00 type dims, one u32 for each dimension, then the elements. Only unsigned bytes are
// taken. The header is checked before memory is asked for; elements pass through a small
// buffer.
#pragma once
#include <zlib.h>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace hebm::data_tools {

enum class IdxKind { kLabels, kImages };  // [N] and [N, rows, columns]

class IdxFile {
 public:
  // Reads and checks the header. Error(kCorrupt) naming file, expected and got; Error(kUsage) where
  // there is no such file.
  IdxFile(const std::filesystem::path& path, IdxKind kind);
  ~IdxFile();
  IdxFile(const IdxFile&) = delete;
  IdxFile& operator=(const IdxFile&) = delete;

  const std::string& name() const { return name_; }
  std::uint64_t count() const { return dims_[0]; }
  std::uint64_t rows() const { return dims_.size() == 3 ? dims_[1] : 1; }
  std::uint64_t columns() const { return dims_.size() == 3 ? dims_[2] : 1; }
  // Hands the first `count` entries to `take`, some whole ones at a time, once. All others are read
  // too: a file that is cut, damaged or longer than its header says is Error(kCorrupt).
  void read(std::uint64_t count, const std::function<void(std::span<const std::uint8_t>)>& take);
 private:
  std::size_t read_some(std::span<std::uint8_t> out);
  void check_magic(std::span<const std::uint8_t> magic, IdxKind kind) const;
  void check_dims() const;
  void check_room(std::uint64_t header_bytes) const;
  std::uint64_t num_elements() const { return count() * rows() * columns(); }

  std::string name_;
  std::uint64_t file_bytes_ = 0;
  bool is_gzip_ = false;
  gzFile file_ = nullptr;
  std::vector<std::uint64_t> dims_;
};

}  // namespace hebm::data_tools
