// A file under a temporary name next to its place: publish() renames it, and refuses where the
// place is taken (a published shard or data set never changes); removed by the destructor
// otherwise. The caller writes and fsyncs it.
#pragma once
#include <cstdint>
#include <filesystem>

namespace hebm::data {

class ScratchFile {
 public:
  // Makes the folders of `target` where they are missing.
  explicit ScratchFile(const std::filesystem::path& target);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void publish();  // rename and fsync of the folder
 private:
  std::filesystem::path target_, path_;
  bool published_ = false;
};

// Error(kRuntime) before a byte is written where the file system has less than this left.
void require_space(const std::filesystem::path& target, std::uint64_t bytes);

}  // namespace hebm::data
