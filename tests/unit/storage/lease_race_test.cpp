// Several processes that want one lease at the same moment.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cstdio>
#include "base/status.h"
#include "storage/hash.h"
#include "storage/lease.h"
#include "storage/lease_holder.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

using detail::LeaseHolder;

constexpr int kLongest_ms = 20000;

// Until the other end is closed.
bool wait_for_end(int pipe) {
  pollfd end{pipe, POLLIN, 0};
  return ::poll(&end, 1, kLongest_ms) == 1;
}

// What a start of the program does: 0 where it has the lease and keeps it until `stop`, 1 where it
// was refused by name, 2 else.
int start_once(const fs::path& folder, int go, int stop) {
  if (!wait_for_end(go)) return 2;
  try {
    bool lost = false;
    const Lease lease(folder, "train", [&](const std::string&) { lost = true; });
    sweep_temporaries(folder);  // as the winner does, under the hands of those that still try
    if (!wait_for_end(stop)) return 2;
    return !lost && detail::parse_holder(read_file(Lease::file_of(folder))).pid == ::getpid() ? 0 : 2;
  } catch (const std::exception& error) {
    const std::string why = error.what();
    if (why.find("is in use by another job: hebm_dist train, process ") != std::string::npos) return 1;
    std::fprintf(stderr, "%s\n", why.c_str());
    return 2;
  }
}

int code_of(int status) { return WIFEXITED(status) && WEXITSTATUS(status) < 2 ? WEXITSTATUS(status) : 2; }

// How many ended with each code.
std::array<int, 3> start_at_once(const fs::path& folder, int count) {
  int go[2], stop[2];
  if (::pipe2(go, O_CLOEXEC) != 0 || ::pipe2(stop, O_CLOEXEC) != 0) return {};
  for (int i = 0; i < count; ++i) {
    if (::fork() != 0) continue;
    ::close(go[1]);
    ::close(stop[1]);
    ::_exit(start_once(folder, go[0], stop[0]));
  }
  ::close(go[1]);
  std::array<int, 3> codes{};
  int left = count, status = 0;
  for (const Timer timer; left > 1 && timer.seconds() < 10;) {  // all but the one that holds it
    if (::waitpid(-1, &status, WNOHANG) > 0) {
      ++codes[static_cast<std::size_t>(code_of(status))];
      --left;
    } else {
      ::usleep(10000);
    }
  }
  ::close(stop[1]);
  for (; left > 0 && ::waitpid(-1, &status, 0) > 0; --left) ++codes[static_cast<std::size_t>(code_of(status))];
  ::close(go[0]);
  ::close(stop[0]);
  return codes;
}

void put(const fs::path& folder, const LeaseHolder& holder) {
  write_file_atomic(Lease::file_of(folder), detail::format_holder(holder));
}

LeaseHolder killed() {
  LeaseHolder holder = detail::this_process("train");
  holder.start_ticks -= 1;
  return holder;
}

TEST(LeaseRace, OfSixteenStartsAtOnceOneWinsAndTheOthersSayWho) {
  for (int round = 0; round < 4; ++round) {
    const TempFolder folder;
    if (round % 2 == 1) put(folder.path(), killed());
    EXPECT_EQ(start_at_once(folder.path(), 16), (std::array<int, 3>{1, 15, 0})) << "round " << round;
    EXPECT_FALSE(fs::exists(Lease::file_of(folder.path())));
  }
}

// It died between its claim on a stale lease and the lease itself.
TEST(LeaseRace, AClaimOfTheDeadIsInherited) {
  const TempFolder folder;
  const LeaseHolder dead = killed(), heir = killed();
  put(folder.path(), dead);
  const std::string claim = fmt::format(".tmp-{:016x}", hash64(as_bytes(dead.token.data(), dead.token.size())));
  write_file_atomic(Lease::file_of(folder.path()).string() + claim, detail::format_holder(heir));
  EXPECT_EQ(start_at_once(folder.path(), 4), (std::array<int, 3>{1, 3, 0}));
}

}  // namespace
}  // namespace hebm::storage::test
