// What the tests of sweep share: files by name and text, and the message of an Error.
#pragma once
#include <filesystem>
#include <string>

#include "../storage/temp_folder.h"
#include "storage/files.h"

namespace hebm::sweep::test {

namespace fs = std::filesystem;
using hebm::test::TempFolder;
using storage::test::error_of;

inline std::string put(const fs::path& file, const std::string& text) {
  storage::create_folders(file.parent_path());
  storage::write_file_atomic(file, text);
  return file.string();
}

}  // namespace hebm::sweep::test
