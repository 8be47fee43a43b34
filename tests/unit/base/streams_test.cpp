#include "base/streams.h"
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace hebm {
namespace {

// Each runs in a child, whose streams may be changed; 0, or which of its expectations failed.

int fill_closed_ones() {
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  fill_standard_streams();
  if (open("/dev/null", O_RDWR) <= STDERR_FILENO) return 1;
  if (write(STDOUT_FILENO, "x", 1) != -1) return 2;
  return fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDERR_FILENO, F_GETFD) < 0 ? 3 : 0;
}

int leave_open_ones() {
  const int before = open("/dev/null", O_RDONLY);
  close(before);
  fill_standard_streams();
  return open("/dev/null", O_RDONLY) != before || !output_problem().empty() ? 1 : 0;
}

int fill_a_disk(bool early, const std::string& expected) {
  if (dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO) != STDOUT_FILENO) return 1;
  std::cout << "a result\n";
  if (early && std::fflush(stdout) == 0) return 2;
  return output_problem() == expected ? 0 : 3;
}

int lose_the_reader() {
  int ends[2];
  if (pipe(ends) != 0 || dup2(ends[1], STDOUT_FILENO) != STDOUT_FILENO) return 1;
  close(ends[0]);
  std::signal(SIGPIPE, SIG_IGN);
  std::cout << "a result\n";
  return output_problem().empty() ? 0 : 2;
}

TEST(StreamsDeathTest, ClosedOnesGetAFileThatTakesNothing) {
  EXPECT_EXIT(std::_Exit(fill_closed_ones()), testing::ExitedWithCode(0), "");
}

TEST(StreamsDeathTest, OpenOnesStay) { EXPECT_EXIT(std::_Exit(leave_open_ones()), testing::ExitedWithCode(0), ""); }

TEST(StreamsDeathTest, AFullDiskIsAProblem) {
  EXPECT_EXIT(std::_Exit(fill_a_disk(false, "No space left on device")), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(std::_Exit(fill_a_disk(true, "an earlier write failed")), testing::ExitedWithCode(0), "");
}

TEST(StreamsDeathTest, AReaderThatHasLeftIsNone) {
  EXPECT_EXIT(std::_Exit(lose_the_reader()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace hebm
