// What the tests of storage/ and sweep/ share: a full disk, and a world of one rank.
#pragma once
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <csignal>
#include "../support.h"
#include "storage/files.h"
#include "storage/verified_directory.h"

namespace hebm::storage::test {

using hebm::test::expect_error;
using hebm::test::names_in;
using hebm::test::slurp;
using hebm::test::spill;
using hebm::test::TempFolder;

inline Peers alone() {
  return {0, 1, [](std::string mine) { return std::vector<std::string>{std::move(mine)}; }};
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

}  // namespace hebm::storage::test
