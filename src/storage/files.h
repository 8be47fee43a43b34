// Durable files by POSIX calls, every result checked; errors are Error(kRuntime) naming path, operation and errno.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace hebm::storage {

namespace fs = std::filesystem;

// Writes path.tmp-<uuid> with O_EXCL, fsyncs, renames over `path`, fsyncs the folder.
void write_file_atomic(const fs::path& path, std::string_view content);
// Refuses more than max_bytes (sizes before allocation).
std::string read_file(const fs::path& path, std::uint64_t max_bytes = 64ull << 20);
void fsync_path(const fs::path& path);       // file or folder
void rename_durable(const fs::path& from, const fs::path& to);  // rename + fsync of the parent
std::string random_suffix();                 // 16 hex digits from the system, for temporary names only
std::uint64_t free_bytes(const fs::path& path);  // of the nearest existing folder

// A new file (O_EXCL) that hashes what it writes from memory.
class HashedFileWriter {
 public:
  explicit HashedFileWriter(const fs::path& path);
  ~HashedFileWriter();
  HashedFileWriter(const HashedFileWriter&) = delete;
  HashedFileWriter& operator=(const HashedFileWriter&) = delete;
  void write(std::span<const std::byte> bytes);
  struct Result {
    std::uint64_t size = 0;
    std::string hash;
  };
  Result close_durable();  // fsync + close

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace hebm::storage
