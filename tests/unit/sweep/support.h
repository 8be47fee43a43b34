// What the tests of sweep share: files by name and text, plans, and what all tests share.
#pragma once
#include <filesystem>
#include <string>
#include "../support.h"
#include "storage/files.h"
#include "sweep/plan.h"

namespace hebm::sweep::test {

namespace fs = std::filesystem;
using hebm::test::expect_error;
using hebm::test::TempFolder;

inline std::string put(const fs::path& file, const std::string& text) {
  storage::create_folders(file.parent_path());
  storage::write_file_atomic(file, text);
  return file.string();
}

inline Plan plan_of(const TempFolder& folder, const std::string& text) {
  return read_sweep(put(folder / "sweep.ini", text));
}

}  // namespace hebm::sweep::test
