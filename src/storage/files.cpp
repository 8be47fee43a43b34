#include "storage/files.h"
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <regex>
#include <system_error>
#include <utility>
#include "base/error.h"
#include "base/progress.h"

namespace hebm::storage {
namespace {

constexpr std::size_t kMaxChunk = std::size_t{64} << 20;  // of one read or write: a tick each

std::string_view advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: return "; free some space or choose another folder";
    case EEXIST: return "; it is never overwritten: remove it or choose another name";
    case EACCES:
    case EPERM:
    case EROFS: return "; check the permissions of the file and its folder";
    default: return "";
  }
}

[[noreturn]] void fail_errno(int error, const fs::path& path, std::string_view operation) {
  fail(ExitCode::kRuntime, "{}: {} failed: {} (errno {}){}", path.string(), operation,
      std::generic_category().message(error), error, advice(error));
}

fs::path parent_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

void rename_or_fail(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_errno(errno, from, fmt::format("rename to {}", to.string()));
}

void fsync_parents(const fs::path& from, const fs::path& to) {
  fsync_path(parent_of(to));
  if (parent_of(from) != parent_of(to)) fsync_path(parent_of(from));
}

}  // namespace

Descriptor::Descriptor(const fs::path& path, int flags, std::string_view operation) : path_(path) {
  while ((fd_ = ::open(path.c_str(), flags | O_CLOEXEC, 0666)) < 0) {
    if (errno != EINTR) fail_errno(errno, path, operation);
  }
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::uint64_t Descriptor::regular_size() const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) fail_errno(errno, path_, "fstat");
  check(S_ISREG(status.st_mode), ExitCode::kRuntime, "{}: expected a regular file", path_.string());
  return static_cast<std::uint64_t>(status.st_size);
}

void Descriptor::write(std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kMaxChunk));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_errno(n < 0 ? errno : EIO, path_, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    tick();
  }
}

void Descriptor::sync() const {
  while (::fsync(fd_) != 0) {
    if (errno == EINTR) continue;
    // Some network file systems have no fsync of folders and say so by EINVAL.
    if (errno == EINVAL && fs::is_directory(path_)) return;
    fail_errno(errno, path_, "fsync");
  }
}

void Descriptor::close_or_fail() {
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0 && errno != EINTR) fail_errno(errno, path_, "close");  // Linux: EINTR has closed it
}

void fsync_path(const fs::path& path) { Descriptor(path, O_RDONLY, "open for fsync").sync(); }

void rename_durable(const fs::path& from, const fs::path& to) {
  rename_or_fail(from, to);
  fsync_parents(from, to);
}

void rename_new_durable(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    const bool unknown = errno == EINVAL || errno == ENOSYS;  // some network file systems
    if (!unknown) fail_errno(errno, from, fmt::format("rename to {}", to.string()));
    check(!fs::exists(fs::symlink_status(to)), ExitCode::kRuntime, "{}: exists already{}", to.string(), advice(EEXIST));
    rename_or_fail(from, to);
  }
  fsync_parents(from, to);
}

void publish_file(const fs::path& from, const fs::path& to) {
  try {
    rename_or_fail(from, to);
  } catch (const Error&) {
    ::unlink(from.c_str());  // best effort: the rename's error is the one to tell
    throw;
  }
  fsync_path(parent_of(to));
}

void write_file_atomic(const fs::path& path, std::string_view content) {
  const fs::path temporary = temporary_name(path);
  HashedFileWriter writer(temporary);
  writer.write(content);
  writer.close_durable();
  publish_file(temporary, path);
}

std::string read_file(const fs::path& path, std::uint64_t max_bytes) {
  const ReadOnlyFile file(path);
  check(file.size() <= max_bytes, ExitCode::kRuntime, "{}: {} bytes, expected at most {}", path.string(), file.size(),
      max_bytes);
  return file.text(0, file.size());
}

std::string random_suffix() {
  std::uint64_t value = 0;
  while (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) {
    check(errno == EINTR, ExitCode::kRuntime, "getrandom failed: {}", std::generic_category().message(errno));
  }
  return fmt::format("{:016x}", value);
}

fs::path temporary_name(const fs::path& path) { return path.string() + ".tmp-" + random_suffix(); }

std::vector<fs::path> temporaries_in(const fs::path& folder, const std::string& prefix) {
  const std::regex suffix(R"(.*\.tmp-[0-9a-f]{16})");
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.starts_with(prefix) && std::regex_match(name, suffix)) found.push_back(it->path());
  }
  return found;
}

fs::path resolved(const fs::path& path) {
  std::error_code error;
  const fs::path full = fs::weakly_canonical(path, error);
  return error ? path : full;
}

std::uint64_t free_bytes(const fs::path& path) {
  fs::path folder = fs::absolute(path);
  while (!fs::exists(folder) && folder.has_relative_path()) folder = folder.parent_path();
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) fail_errno(errno, folder, "statvfs");
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

void create_folders(const fs::path& path) {
  if (path.empty() || fs::is_directory(path)) return;
  create_folders(path.parent_path());
  if (::mkdir(path.c_str(), 0777) != 0 && !(errno == EEXIST && fs::is_directory(path))) {
    fail_errno(errno, path, "mkdir");
  }
  fsync_path(parent_of(path));
}

void create_new_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0777) != 0) fail_errno(errno, path, "mkdir");
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail_errno(error.value(), path, "remove");
}

// O_NONBLOCK: opening a pipe that somebody put there must not hang.
ReadOnlyFile::ReadOnlyFile(const fs::path& path, Links links)
    : file_(path, O_RDONLY | O_NONBLOCK | (links == Links::kRefuse ? O_NOFOLLOW : 0), "open for reading"),
      size_(file_.regular_size()) {}

void ReadOnlyFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::uint64_t position = offset;
  while (!out.empty()) {
    const ssize_t n = ::pread(file_.get(), out.data(), std::min(out.size(), kMaxChunk), static_cast<off_t>(position));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(errno, path(), "read");
    check(n > 0, ExitCode::kCorrupt, "{}: the file ends at byte {}, expected {} more bytes there", path().string(),
        position, out.size());
    position += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
    tick();
  }
}

std::string ReadOnlyFile::text(std::uint64_t offset, std::uint64_t size) const {
  std::string out(size, '\0');
  read_at(offset, std::as_writable_bytes(std::span(out)));
  return out;
}

void ReadOnlyFile::read_blocks(
    std::uint64_t from, std::uint64_t to, const std::function<void(std::span<const std::byte>)>& take) const {
  constexpr std::uint64_t kBlock = 4ull << 20;
  std::vector<std::byte> block(from < to ? std::min(kBlock, to - from) : 0);
  for (; from < to; from += block.size()) {
    block.resize(std::min<std::uint64_t>(block.size(), to - from));
    read_at(from, block);
    take(block);
  }
}

HashedFileWriter::HashedFileWriter(const fs::path& path) : file_(path, O_WRONLY | O_CREAT | O_EXCL, "create") {}

HashedFileWriter::~HashedFileWriter() {
  if (!done_) ::unlink(file_.path().c_str());  // made by us (O_EXCL) and not whole
}

void HashedFileWriter::write(std::span<const std::byte> bytes) {
  hasher_.update(bytes);
  file_.write(bytes);
  size_ += bytes.size();
}

HashedFileWriter::Result HashedFileWriter::close_durable() {
  file_.sync();
  file_.close_or_fail();
  done_ = true;
  return {size_, hasher_.digest()};
}

AppendFile::AppendFile(const fs::path& path)
    : file_(path, O_WRONLY | O_CREAT | O_APPEND, "open for appending"), size_(file_.regular_size()) {}

void AppendFile::append(std::string_view text) {
  try {
    file_.write(as_bytes(text.data(), text.size()));
  } catch (const Error& error) {
    check(::ftruncate(file_.get(), static_cast<off_t>(size_)) == 0, ExitCode::kRuntime,
        "{}; and taking the torn line back failed: {}", error.what(), std::generic_category().message(errno));
    throw;
  }
  size_ += text.size();
}

void AppendFile::cut(std::uint64_t size) {
  if (size >= size_) return;
  if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) fail_errno(errno, file_.path(), "truncate");
  size_ = size;
}

}  // namespace hebm::storage
