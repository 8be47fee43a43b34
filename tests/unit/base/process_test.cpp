#include "base/process.h"
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

namespace hebm {
namespace {

// A child that waits for a signal.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0)
      for (;;) ::pause();
  }
  ~Sleeper() { end(); }
  Sleeper(const Sleeper&) = delete;
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // start_ticks 0: as of a process that was never looked at.
  ProcessId id() const {
    ProcessId out = this_process();
    out.pid = pid_;
    out.start_ticks = 0;
    return out;
  }
  pid_t pid() const { return pid_; }
 private:
  pid_t pid_;
};

TEST(Process, OwnLivesAndOthersMachinesAreUnknown) {
  const ProcessId mine = this_process();
  EXPECT_EQ(life_of(mine, mine), Life::kAlive);
  EXPECT_EQ(mine.boot.find('\n'), std::string::npos);
  EXPECT_EQ(life_of({}, mine), Life::kUnknown);
  for (std::string ProcessId::*field : {&ProcessId::host, &ProcessId::boot, &ProcessId::pid_namespace}) {
    ProcessId other = mine;
    other.*field += "x";
    EXPECT_EQ(life_of(other, mine), Life::kUnknown);
  }
}

TEST(Process, DeadZombieAndReusedNumber) {
  const ProcessId mine = this_process();
  ProcessId reused = mine;
  reused.start_ticks -= 1;
  EXPECT_EQ(life_of(reused, mine), Life::kDead);
  Sleeper child;
  const ProcessId id = child.id();
  EXPECT_EQ(life_of(id, mine), Life::kAlive);
  ASSERT_EQ(::kill(child.pid(), SIGKILL), 0);
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &ended, WEXITED | WNOWAIT), 0);  // not reaped: a zombie
  EXPECT_EQ(life_of(id, mine), Life::kDead);
  child.end();
  EXPECT_EQ(life_of(id, mine), Life::kDead);
}

TEST(Process, AStoppedOneLivesAndSaysSo) {
  const Sleeper child;
  ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child.pid(), &status, WUNTRACED), child.pid());
  EXPECT_EQ(life_of(child.id(), this_process()), Life::kAlive);
  EXPECT_EQ(state_of(child.id(), this_process()), 'T');
}

// kill() says EPERM: as from a second user's job under hidepid.
TEST(Process, AnotherUsersProcessLives) {
  if (::geteuid() != 0) GTEST_SKIP() << "wants two users";
  const ProcessId mine = this_process();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(7);
    ::_exit(static_cast<int>(life_of(mine, this_process())));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(Life::kAlive));
}

}  // namespace
}  // namespace hebm
