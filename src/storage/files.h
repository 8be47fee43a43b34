// Durable files by POSIX calls, every result checked; errors are Error(kRuntime) naming path,
// operation and errno. Every write, fsync and rename of this module is made in files.cpp (libhdf5
// writes its own data, but is fsynced here).
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

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
// rename_durable of a file that the caller has just written and fsynced; where that fails, `from`
// is removed.
void publish_file(const fs::path& from, const fs::path& to);
std::string random_suffix();  // 16 hex digits from the system, for temporary names only
fs::path temporary_name(
    const fs::path& path);  // path.tmp-<random_suffix()>, beside it; sweep_temporaries (lease.h) knows such names
inline constexpr std::string_view kTemporaryMark = ".tmp-";
std::uint64_t free_bytes(const fs::path& path);  // of the nearest existing folder
void create_folders(const fs::path& path);       // and its parents; existing ones are fine; durable
void create_new_folder(const fs::path& path);    // an existing one is an error
void remove_file(const fs::path& path);          // a missing one is fine
void remove_tree(const fs::path& path);          // follows no links; a missing one is fine

// An open file; closed on every way out, by close_or_fail() where the result counts.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, std::string_view operation);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void close_or_fail(const fs::path& path);
 private:
  int fd_;
};

enum class Links { kFollow, kRefuse };

// A regular file open for reading; size() is that of the moment of opening.
class ReadOnlyFile {
 public:
  explicit ReadOnlyFile(const fs::path& path, Links links = Links::kFollow);
  const fs::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  // pread of exactly out.size() bytes; safe from several threads. The file ends before:
  // Error(kCorrupt).
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;
  // fsyncs what anybody wrote to this file, and reports every write-back error since it was opened
  // here.
  void sync() const;
 private:
  fs::path path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

// A new file (O_EXCL) that hashes what it writes from memory. Destroyed without close_durable, it
// removes the file.
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
  std::unique_ptr<Impl> impl_;
};

// A log file, made where it is missing. An append that fails (full disk) is taken back, so that no
// torn line stays.
class AppendFile {
 public:
  explicit AppendFile(const fs::path& path);
  void append(std::string_view text);
  void sync();
 private:
  fs::path path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

}  // namespace hebm::storage
