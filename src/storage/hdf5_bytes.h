// Inside of hdf5_scan.cpp: pieces of a foreign HDF5 file. Every number is read within its piece,
// every piece within the file and a budget, so no claim of the file takes time or memory.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "base/error.h"
#include "storage/files.h"

namespace hebm::storage::detail {

using Bytes = std::vector<std::byte>;
inline constexpr std::uint64_t kNoAddress = ~std::uint64_t{0};

class H5Source {
 public:
  explicit H5Source(const ReadOnlyFile& file) : file_(file) {}

  // Error(kCorrupt): "FILE: is not a whole HDF5 file: PLACE...".
  template <class... Args> [[noreturn]] void damaged(fmt::format_string<Args...> format, Args&&... args) const {
    fail_with(fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args> void expect(bool ok, fmt::format_string<Args...> format, Args&&... args) const {
    if (!ok) fail_with(fmt::format(format, std::forward<Args>(args)...));
  }
  Bytes read(std::uint64_t address, std::uint64_t size);
  // A piece that starts with four letters; with_sum: its last four bytes are the check sum of the
  // others.
  Bytes read_signed(std::uint64_t address, std::uint64_t size, std::string_view signature, bool with_sum);
  std::uint64_t size() const { return file_.size(); }
  const fs::path& path() const { return file_.path(); }
  void enter(const std::string& place) { place_ = place + ": "; }  // what is read from now on, for messages
 private:
  [[noreturn]] void fail_with(const std::string& reason) const;
  const ReadOnlyFile& file_;
  std::string place_;
  std::uint64_t total_bytes_ = 0;
};

// Numbers of a piece, one behind the other, little-endian.
class Cursor {
 public:
  Cursor(const H5Source& source, std::span<const std::byte> bytes, std::size_t at = 0)
      : source_(source), bytes_(bytes) {
    skip(at);
  }
  std::uint64_t number(std::size_t num_bytes);  // at most 8
  std::uint64_t address() { return number(8); }
  std::span<const std::byte> take(std::uint64_t count);
  void skip(std::uint64_t count) { take(count); }
  std::string text(std::uint64_t count);
  std::size_t left() const { return bytes_.size(); }
 private:
  const H5Source& source_;
  std::span<const std::byte> bytes_;
};

// The check sum of HDF5's structures: Jenkins' lookup3.
std::uint32_t lookup3(std::span<const std::byte> bytes);

}  // namespace hebm::storage::detail
