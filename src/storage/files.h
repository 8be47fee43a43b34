// Durable files by POSIX calls, every result checked; errors are Error(kRuntime) naming path,
// operation and errno. Every write, fsync and rename of this module is made in files.cpp (libhdf5
// writes its own data, but is fsynced here).
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "storage/hash.h"

namespace hebm::storage {

namespace fs = std::filesystem;

// Writes path.tmp-<uuid> with O_EXCL, fsyncs, renames over `path`, fsyncs the folder.
void write_file_atomic(const fs::path& path, std::string_view content);
// Refuses more than max_bytes (sizes before allocation).
std::string read_file(const fs::path& path, std::uint64_t max_bytes = 64ull << 20);
void fsync_path(const fs::path& path);                          // file or folder
void rename_durable(const fs::path& from, const fs::path& to);  // rename + fsync of the parents
// The same for a file whose place must be free: what is there is an error and stays.
void rename_new_durable(const fs::path& from, const fs::path& to);
// rename_durable of a file that was just written and fsynced; `from` is removed where it fails.
void publish_file(const fs::path& from, const fs::path& to);
std::string random_suffix();                    // 16 hex digits from the system, for temporary names only
fs::path temporary_name(const fs::path& path);  // path.tmp-<random_suffix()>, beside it
// What has such a name, PREFIX*.tmp-<16 hex digits>, in the folder (if there is one).
std::vector<fs::path> temporaries_in(const fs::path& folder, const std::string& prefix);
// Absolute and without links where that can be found out.
fs::path resolved(const fs::path& path);
std::uint64_t free_bytes(const fs::path& path);  // of the nearest existing folder
void create_folders(const fs::path& path);       // and its parents; existing ones are fine; durable
void create_new_folder(const fs::path& path);    // an existing one is an error
void remove_tree(const fs::path& path);          // follows no links; a missing one is fine

// An open file; closed on every way out, by close_or_fail() where the result counts.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, std::string_view operation);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const fs::path& path() const { return path_; }
  int get() const { return fd_; }
  std::uint64_t regular_size() const;  // an error for what is no regular file
  void write(std::span<const std::byte> bytes) const;
  void sync() const;
  void close_or_fail();
 private:
  fs::path path_;
  int fd_ = -1;
};

enum class Links { kFollow, kRefuse };

// A regular file open for reading; size() is that of the moment of opening.
class ReadOnlyFile {
 public:
  explicit ReadOnlyFile(const fs::path& path, Links links = Links::kFollow);
  const fs::path& path() const { return file_.path(); }
  std::uint64_t size() const { return size_; }
  // pread of all of `out`, safe from several threads. Error(kCorrupt) where the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;
  std::string text(std::uint64_t offset, std::uint64_t size) const;
  // Bytes from .. to - 1, block by block, in order.
  void read_blocks(
      std::uint64_t from, std::uint64_t to, const std::function<void(std::span<const std::byte>)>& take) const;
  // fsyncs what anybody wrote, and reports every write-back error since it was opened here.
  void sync() const { file_.sync(); }
 private:
  Descriptor file_;
  std::uint64_t size_ = 0;
};

// A new file (O_EXCL) that hashes what it is given; without close_durable, it removes the file.
class HashedFileWriter {
 public:
  explicit HashedFileWriter(const fs::path& path);
  ~HashedFileWriter();
  HashedFileWriter(const HashedFileWriter&) = delete;
  HashedFileWriter& operator=(const HashedFileWriter&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(as_bytes(text.data(), text.size())); }
  struct Result {
    std::uint64_t size = 0;
    std::string hash;
  };
  Result close_durable();  // fsync + close
 private:
  Descriptor file_;
  Hasher hasher_;
  std::uint64_t size_ = 0;
  bool done_ = false;
};

// A log file, made where it is missing. An append that fails (full disk) leaves no torn line.
class AppendFile {
 public:
  explicit AppendFile(const fs::path& path);
  void append(std::string_view text);
  void cut(std::uint64_t size);  // keeps the first `size` bytes
  void sync() { file_.sync(); }
 private:
  Descriptor file_;
  std::uint64_t size_ = 0;
};

}  // namespace hebm::storage
