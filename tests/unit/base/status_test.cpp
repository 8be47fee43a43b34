#include "base/status.h"
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>
#include "base/error.h"
#include "base/version.h"

namespace hebm {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

std::string read_all(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Status, Durations) {
  EXPECT_EQ(format_duration(0), "0.0 s");
  EXPECT_EQ(format_duration(12.34), "12.3 s");
  EXPECT_EQ(format_duration(59.94), "59.9 s");
  EXPECT_EQ(format_duration(59.96), "1 min 00 s");
  EXPECT_EQ(format_duration(200), "3 min 20 s");
  EXPECT_EQ(format_duration(3599.4), "59 min 59 s");
  EXPECT_EQ(format_duration(3599.6), "1 h 00 min");
  EXPECT_EQ(format_duration(3720), "1 h 02 min");
  EXPECT_EQ(format_duration(7170), "2 h 00 min");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(1.0 / 0.0), "?");
  EXPECT_EQ(format_duration(1e300), "over 10000 years");
}

TEST(Status, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1.5 * 1024 * 1024 * 1024), "1.5 GiB");
  EXPECT_EQ(format_bytes(1024.0 * 1024 - 1), "1.0 MiB");
}

TEST(Status, WholeLinesWhereItIsNoTerminal) {
  testing::internal::CaptureStderr();
  {
    Logger logger;
    StatusLine line(logger, "train", 3000, 1000);
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    for (int i = 1200; i < 1300; ++i) line.update(i, "loss 3");  // one line only within 30 s
    line.update(3000);
    line.finish();
    line.finish();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  std::smatch part;
  ASSERT_TRUE(std::regex_match(text, part,
      std::regex("train  40 %  1200/3000  ([0-9.]+)/s  ETA ([0-9.]+) s  loss 3\n"
                 "train  3000/3000 in [0-9.]+ s  \\([0-9.e+]+/s\\)\n")))
      << text;
  // 200 new ones in at least 150 ms, 1800 to go: what was done before this process does not count.
  EXPECT_LE(std::stod(part[1]), 1334);
  EXPECT_NEAR(std::stod(part[2]), 1800 / std::stod(part[1]), 0.06);
}

// The second half of the units costs three times the first: at 10 of 100, 190 of 200 are to come.
TEST(Status, TheEtaFollowsTheCost) {
  testing::internal::CaptureStderr();
  {
    Logger logger;
    StatusLine line(logger, "train", 100, 0, [](std::int64_t n) { return n <= 50 ? 1.0 * n : 3.0 * n - 100; });
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    line.update(10);
  }
  const std::string text = testing::internal::GetCapturedStderr();
  std::smatch part;
  ASSERT_TRUE(std::regex_match(text, part, std::regex("train  10 %  10/100  [0-9.]+/s  ETA ([0-9.]+) s\n"))) << text;
  EXPECT_GE(std::stod(part[1]), 9.5) << "19 times half a second";
}

TEST(Status, QuietRanksSayNothing) {
  testing::internal::CaptureStderr();
  {
    Logger logger(false);
    logger.line("hello {}", 1);
    StatusLine line(logger, "train", 10);
    line.update(5);
    line.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Status, LogFileIsAppendedWithTheTimeOfDay) {
  const std::string path = testing::TempDir() + "/hebm_log_test.txt";
  std::filesystem::remove(path);
  testing::internal::CaptureStderr();
  for (int i = 0; i < 2; ++i) {
    Logger logger;
    logger.line("before");
    logger.open_file(path);
    logger.line("run {}\nline", i);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "before\nrun 0 line\nbefore\nrun 1 line\n");
  const char* kTime = "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}";
  EXPECT_THAT(read_all(path), MatchesRegex(fmt::format("{}  run 0 line\n{}  run 1 line\n", kTime, kTime)));
  std::filesystem::remove(path);
}

TEST(Status, AFullDiskWarnsOnceAndGoesOn) {
  testing::internal::CaptureStderr();
  {
    Logger logger;
    logger.open_file("/dev/full");
    for (int i = 0; i < 3; ++i) logger.line("line {}", i);
  }
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
      MatchesRegex("line 0\nwarning: cannot write the log /dev/full: No space left.*\nline 1\nline 2\n"));
  Logger logger(false);
  EXPECT_THROW(logger.open_file(testing::TempDir() + "/no/such/folder/log.txt"), Error);
}

// What a terminal of 40 columns receives from `body`.
template <class Body> std::string on_terminal(Body body) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_TRUE(master >= 0 && ::grantpt(master) == 0 && ::unlockpt(master) == 0);
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  EXPECT_GE(terminal, 0);
  const winsize size{24, 40, 0, 0};
  EXPECT_EQ(::ioctl(terminal, TIOCSWINSZ, &size), 0);
  const int saved = ::dup(STDERR_FILENO);
  EXPECT_EQ(::dup2(terminal, STDERR_FILENO), STDERR_FILENO);
  body();
  EXPECT_EQ(::dup2(saved, STDERR_FILENO), STDERR_FILENO);
  for (int descriptor : {saved, terminal}) EXPECT_EQ(::close(descriptor), 0);
  std::string text;
  char block[512];  // the kernel hands over in its own time; with the terminal closed, EIO says that all has come
  for (ssize_t got; (got = ::read(master, block, sizeof block)) > 0;) text.append(block, static_cast<std::size_t>(got));
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(::close(master), 0);
  return text;
}

TEST(Status, ATerminalLineIsRewrittenAndCut) {
  const std::string text = on_terminal([] {
    Logger logger;
    StatusLine line(logger, "encode", 100);
    line.update(42, "a detail that is far too long for forty columns");
    logger.line("a log line");
    line.update(43);  // too soon for another rewrite
    line.finish();
  });
  const std::string shown = text.substr(1, text.find("\x1b") - 1);
  EXPECT_TRUE(text.starts_with("\rencode  42 %  42/100  "));
  EXPECT_EQ(shown.size(), 39u);
  EXPECT_THAT(text, HasSubstr("\r\x1b[Ka log line\r\n\r" + shown + "\x1b[K\r\x1b[Kencode  43/100 in 0.0 s"));
  EXPECT_THAT(text, Not(HasSubstr("43 %")));
  EXPECT_TRUE(text.ends_with("/s)\r\n"));
}

TEST(Status, AnErrorClearsTheTerminalLine) {
  const std::string text = on_terminal([] {
    Logger logger;
    StatusLine(logger, "encode", 100).update(1);
    EXPECT_EQ(::write(STDERR_FILENO, "!", 1), 1);
  });
  EXPECT_TRUE(text.ends_with("\x1b[K\r\x1b[K!")) << text;
}

TEST(Version, IsThatOfTheBuild) {
  EXPECT_THAT(read_all(HEBM_SOURCE_DIR "/CMakeLists.txt"),
      HasSubstr(std::string("project(hebm_dist VERSION ") + kVersion + " "));
}

}  // namespace
}  // namespace hebm
