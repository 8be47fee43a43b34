// What the tests of storage share: the message of an Error, damaged files, full disks.
#pragma once
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "../temp_folder.h"
#include "base/error.h"
#include "storage/files.h"

namespace hebm::storage::test {

using hebm::test::TempFolder;

// The message of the Error that `call` throws with this code; fails the test where it throws none
// or another code.
inline std::string error_of(ExitCode code, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

// Without fsync, and as a new file (ext4 flushes one that was truncated): thousands of damaged
// files in a test would spend their time there.
inline void put_file(const fs::path& path, const std::string& content) {
  remove_file(path);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  ASSERT_TRUE(out.flush().good()) << path;
}

// The system's own answer to a full disk, for this process: writes beyond `bytes` of a file fail
// with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    EXPECT_NE(std::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &old_), 0);
    const rlimit limit{bytes, old_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() { EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &old_), 0); }

 private:
  rlimit old_{};
};

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
}

}  // namespace hebm::storage::test
