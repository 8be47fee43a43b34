#include "base/signals.h"
#include <gtest/gtest.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include "base/error.h"

namespace hebm {
namespace {

TEST(StopFlag, NotesTheFirstSignalAndGoesOn) {
  for (int number : {SIGTERM, SIGUSR1, SIGUSR2, SIGHUP, SIGINT}) {
    StopFlag flag;
    EXPECT_FALSE(flag.requested());
    EXPECT_EQ(flag.signal(), 0);
    ASSERT_EQ(std::raise(number), 0);
    EXPECT_TRUE(flag.requested());
    EXPECT_EQ(flag.signal(), number);
    ASSERT_EQ(std::raise(SIGTERM), 0);
    EXPECT_EQ(flag.signal(), number);
  }
}

int seen = 0;
void note(int number) { seen = number; }

TEST(StopFlag, RestoresTheFormerHandlers) {
  const auto former = std::signal(SIGUSR1, note);
  {
    StopFlag flag;
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    EXPECT_EQ(seen, 0);
  }
  ASSERT_EQ(std::raise(SIGUSR1), 0);
  EXPECT_EQ(seen, SIGUSR1);
  std::signal(SIGUSR1, former);
}

TEST(StopFlag, AnIgnoredHangUpStaysIgnored) {
  const auto former = std::signal(SIGHUP, SIG_IGN);  // nohup
  {
    StopFlag flag;
    ASSERT_EQ(std::raise(SIGHUP), 0);
    EXPECT_FALSE(flag.requested());
  }
  EXPECT_EQ(std::signal(SIGHUP, former), SIG_IGN);
}

TEST(StopFlag, AReaderThatLeavesEndsNothing) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  {
    StopFlag flag;
    EXPECT_EQ(write(ends[1], "talk", 4), -1);
    EXPECT_EQ(errno, EPIPE);
    EXPECT_FALSE(flag.requested());
  }
  EXPECT_EQ(std::signal(SIGPIPE, SIG_DFL), SIG_DFL);
  close(ends[1]);
}

TEST(StopFlag, OnlyOneAtATime) {
  StopFlag flag;
  EXPECT_THROW(StopFlag(), Error);
  ASSERT_EQ(std::raise(SIGTERM), 0);  // the first one still works
  EXPECT_EQ(flag.signal(), SIGTERM);
}

TEST(StopFlagDeathTest, TheSecondInterruptEndsTheProcess) {
  EXPECT_EXIT(
      {
        StopFlag flag;
        std::raise(SIGTERM);
        std::raise(SIGINT);
        std::raise(SIGINT);
        std::_Exit(0);
      },
      testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(
      {
        StopFlag flag;
        for (int i = 0; i < 5; ++i) std::raise(SIGTERM);
        std::raise(SIGINT);
        std::_Exit(flag.signal() == SIGTERM ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace hebm
