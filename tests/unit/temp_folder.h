// A folder for a test's files, removed at the end; one of its own, so that tests may run side by
// side.
#pragma once
#include <filesystem>
#include <string>

#include "storage/files.h"

namespace hebm::test {

class TempFolder {
 public:
  TempFolder() : path_(std::filesystem::temp_directory_path() / ("hebm-test-" + storage::random_suffix())) {
    std::filesystem::create_directory(path_);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace hebm::test
