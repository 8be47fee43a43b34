// Files that never change once they are in their place: shards of a cache, data sets, samples.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>

namespace hebm::data {

// A file under a temporary name next to its place, whose folders are made: publish() renames it,
// and is Error(kRuntime) where the place is taken. The destructor removes what was not published.
// The caller writes and fsyncs it.
class ScratchFile {
 public:
  explicit ScratchFile(const std::filesystem::path& target);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::filesystem::path& path() const { return path_; }
  void publish();
 private:
  std::filesystem::path target_, path_;
  bool published_ = false;
};

// The same around `write`. Error(kRuntime) before a byte is written where the file system has less
// than `bytes` left.
void write_new_file(const std::filesystem::path& target, std::uint64_t bytes,
    const std::function<void(const std::filesystem::path& temporary)>& write);

}  // namespace hebm::data
