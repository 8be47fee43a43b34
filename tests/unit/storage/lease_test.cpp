#include "storage/lease.h"
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <barrier>
#include <chrono>
#include <csignal>
#include <ctime>
#include <memory>
#include <thread>
#include "base/status.h"
#include "storage/lease_holder.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

using detail::LeaseHolder;

constexpr LeaseTimes kQuick{.renew_s = 0.05, .expiry_s = 0.6};
const auto kNeverLost = [](const std::string& why) { ADD_FAILURE() << why; };

void put(const fs::path& folder, const LeaseHolder& holder) {
  write_file_atomic(Lease::file_of(folder), detail::format_holder(holder));
}

std::string token_in(const fs::path& folder) { return detail::parse_holder(read_file(Lease::file_of(folder))).token; }

LeaseHolder elsewhere() {
  LeaseHolder holder = detail::this_process("train");
  holder.boot = "another machine's";
  holder.host = "node7";
  holder.pid = 4711;
  holder.job = "345";
  return holder;
}

// Message of the refusal; "" where it was granted.
std::string refusal(const fs::path& folder) {
  try {
    const Lease lease(folder, "train", kNeverLost, kQuick);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kRuntime);
    return error.what();
  }
  return "";
}

TEST(Lease, OneHolderAndAFreeFolderAfterIt) {
  const TempFolder folder;
  const fs::path place = folder / "run/prior";
  {
    const Lease lease(place, "train", kNeverLost, kQuick);
    const std::string why = refusal(place);
    for (const std::string& part :
        {place.string() + " is in use", std::string("hebm_dist train"), fmt::format("process {}", ::getpid()),
            std::string("job "), std::string("since "), std::string("that process lives")}) {
      EXPECT_NE(why.find(part), std::string::npos) << part << " is not in: " << why;
    }
    EXPECT_TRUE(fs::exists(Lease::file_of(place)));
  }
  EXPECT_TRUE(fs::is_empty(place));
  EXPECT_EQ(refusal(place), "");
}

TEST(Lease, KilledHolderIsTakenOverAtOnce) {
  const TempFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    const Lease lease(folder.path(), "train", [](const std::string&) {});
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const std::string before = token_in(folder.path());
  const Timer timer;
  const Lease lease(folder.path(), "train", kNeverLost);  // expires after 30 s
  EXPECT_LT(timer.seconds(), 10.0);
  EXPECT_NE(token_in(folder.path()), before);
}

TEST(Lease, ZombieAndReusedNumberAreDead) {
  const TempFolder folder;
  const LeaseHolder mine = detail::this_process("train");
  LeaseHolder reused = mine;
  reused.start_ticks -= 1;
  put(folder.path(), reused);
  EXPECT_FALSE(Lease::holder_of(folder.path()));

  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);  // not reaped: a zombie
  LeaseHolder zombie = mine;
  zombie.pid = child;
  put(folder.path(), zombie);
  EXPECT_FALSE(Lease::holder_of(folder.path()));
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

void set_time(const fs::path& folder, std::time_t at) {
  const timespec times[] = {{at, 0}, {at, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, Lease::file_of(folder).c_str(), times, 0), 0);
}

// Whatever the file's time says: it is another machine's clock.
TEST(Lease, OtherMachineExpiresWhenItsLeaseStandsStill) {
  const TempFolder folder;
  for (const std::time_t offset_s : {0, -1000000, 40, 1000000}) {
    put(folder.path(), elsewhere());
    set_time(folder.path(), std::time(nullptr) + offset_s);
    const Timer timer;
    EXPECT_EQ(refusal(folder.path()), "") << offset_s;
    EXPECT_GE(timer.seconds(), 0.8 * kQuick.expiry_s) << offset_s;
    EXPECT_LE(timer.seconds(), 10) << offset_s;
  }
}

// A clock that jumps with every renewal, and one that stands.
TEST(Lease, OtherMachineWhoseCounterMovesIsAlive) {
  for (const bool jumps : {false, true}) {
    const TempFolder folder;
    const LeaseHolder holder = elsewhere();
    put(folder.path(), holder);
    set_time(folder.path(), 1000000000);
    std::atomic<bool> ending = false;
    std::thread renewer([&] {
      for (std::int64_t beat = 1; !ending; ++beat) {
        const Descriptor file(Lease::file_of(folder.path()), O_WRONLY, "open");
        const std::string text = detail::format_holder(holder, beat);
        file.write(as_bytes(text.data(), text.size()));
        set_time(folder.path(), jumps ? 1000000000 + (beat % 2 == 0 ? 1 : -1) * 1000 * beat : 1000000000);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    });
    const std::string why = refusal(folder.path());
    ending = true;
    renewer.join();
    EXPECT_NE(why.find("hebm_dist train, process 4711 on node7, job 345"), std::string::npos) << why;
    EXPECT_NE(why.find("renewed its lease while this job looked"), std::string::npos) << why;
  }
}

TEST(Lease, AWaitingJobSaysForWhomAndHowLongAndStopsWhenAsked) {
  const TempFolder folder;
  put(folder.path(), elsewhere());
  std::string said;
  const Timer timer;
  const LeaseWait wait{[&](const std::string& line) { said = line; }, [&] { return timer.seconds() > 0.3; }};
  try {
    const Lease lease(folder.path(), "train", kNeverLost, LeaseTimes{}, wait);
    ADD_FAILURE() << "it did not stop";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kRequeue);
    EXPECT_NE(std::string(error.what()).find("process 4711 on node7, job 345"), std::string::npos) << error.what();
  }
  EXPECT_LT(timer.seconds(), 2);
  for (const char* part : {"process 4711 on node7, job 345", "up to 30.0 s"})
    EXPECT_NE(said.find(part), std::string::npos) << said;
}

TEST(Lease, OtherMachineThatRenewsIsNamed) {
  const TempFolder folder;
  put(folder.path(), elsewhere());
  std::atomic<bool> ending = false;
  std::thread renewer([&] {
    while (!ending) {
      ::utimensat(AT_FDCWD, Lease::file_of(folder.path()).c_str(), nullptr, 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  const std::string why = refusal(folder.path());
  ending = true;
  renewer.join();
  for (const char* part : {"process 4711", "node7", "job 345"})
    EXPECT_NE(why.find(part), std::string::npos) << part << ": " << why;
}

TEST(Lease, WhoHoldsItIsToldToThoseWhoOnlyLook) {
  const TempFolder folder;
  EXPECT_FALSE(Lease::holder_of(folder / "nothing"));
  {
    const Lease lease(folder.path(), "train", kNeverLost, kQuick);
    EXPECT_NE(Lease::holder_of(folder.path()).value_or("").find(fmt::format("hebm_dist train, process {}", ::getpid())),
        std::string::npos);
  }
  EXPECT_FALSE(Lease::holder_of(folder.path()));
  LeaseHolder gone = detail::this_process("train");
  gone.start_ticks -= 1;
  put(folder.path(), gone);
  EXPECT_FALSE(Lease::holder_of(folder.path()));
  put(folder.path(), elsewhere());
  EXPECT_NE(Lease::holder_of(folder.path(), kQuick).value_or("").find("node7"), std::string::npos);
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  EXPECT_FALSE(Lease::holder_of(folder.path(), kQuick));
}

TEST(Lease, DamagedFileCountsAsAnotherMachines) {
  const TempFolder folder;
  for (const char* text : {"", "{", "[1]", "{\"token\": 3, \"pid\": \"x\"}"}) {
    write_file_atomic(Lease::file_of(folder.path()), text);
    EXPECT_EQ(refusal(folder.path()), "") << text;
  }
}

TEST(Lease, TheFormerHolderIsToldWhenItIsTakenOver) {
  const TempFolder folder;
  const LeaseHolder thief = elsewhere();
  std::string why;
  std::atomic<bool> told = false;
  {
    const Lease lease(
        folder.path(), "train",
        [&](const std::string& text) {
          why = text;
          told = true;
        },
        kQuick);
    put(folder.path(), thief);
    const Timer timer;
    while (!told && timer.seconds() < 20) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_TRUE(told);
  EXPECT_NE(why.find("node7"), std::string::npos) << why;
  EXPECT_EQ(token_in(folder.path()), thief.token);  // the new holder's stays
}

TEST(Lease, RenewedWhileHeldAndMadeAgainWhenRemoved) {
  const TempFolder folder;
  const Lease lease(folder.path(), "train", kNeverLost, kQuick);
  const auto first = fs::last_write_time(Lease::file_of(folder.path()));
  const Timer timer;
  while (fs::last_write_time(Lease::file_of(folder.path())) == first && timer.seconds() < 20)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GT(fs::last_write_time(Lease::file_of(folder.path())), first);
  fs::remove(Lease::file_of(folder.path()));
  while (!fs::exists(Lease::file_of(folder.path())) && timer.seconds() < 40)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(fs::exists(Lease::file_of(folder.path())));
}

TEST(Lease, OneOfManyThatTakeOverAtOnce) {
  for (int round = 0; round < 5; ++round) {
    const TempFolder folder;
    LeaseHolder dead = detail::this_process("train");
    dead.start_ticks -= 1;
    put(folder.path(), dead);
    constexpr int kTakers = 6;
    std::barrier together(kTakers), ended(kTakers);
    std::atomic<int> granted = 0;
    std::vector<std::thread> takers;
    for (int i = 0; i < kTakers; ++i) {
      takers.emplace_back([&] {
        together.arrive_and_wait();
        std::unique_ptr<Lease> lease;
        try {
          lease = std::make_unique<Lease>(folder.path(), "train", kNeverLost);
          ++granted;
        } catch (const Error& error) {
          EXPECT_NE(std::string(error.what()).find("is in use"), std::string::npos) << error.what();
        }
        ended.arrive_and_wait();  // all have tried before one lets go
      });
    }
    for (std::thread& taker : takers) taker.join();
    EXPECT_EQ(granted, 1);
  }
}

TEST(SweepTemporaries, RemovesOnlyItsOwnKind) {
  const TempFolder folder;
  const auto touch = [&](const std::string& name) { write_file_atomic(folder / name, "x"); };
  for (const char* name : {"vae.safetensors", "a.tmp-0123456789abcdef", "train-1.png.tmp-0123456789abcdef",
           "b.tmp-0123456789abcdeg", "c.tmp-0123", "d.tmp-0123456789abcdef0", "tmp-0123456789abcdef"}) {
    touch(name);
  }
  create_folders(folder / "step-0000001.tmp-00000000000000ff");
  touch("step-0000001.tmp-00000000000000ff/part");
  sweep_temporaries(folder.path(), "train-");
  EXPECT_FALSE(fs::exists(folder / "train-1.png.tmp-0123456789abcdef"));
  EXPECT_TRUE(fs::exists(folder / "a.tmp-0123456789abcdef"));
  sweep_temporaries(folder.path());
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder.path())) left.push_back(entry.path().filename());
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"b.tmp-0123456789abcdeg", "c.tmp-0123", "d.tmp-0123456789abcdef0",
                      "tmp-0123456789abcdef", "vae.safetensors"}));
  sweep_temporaries(folder / "absent");
}

}  // namespace
}  // namespace hebm::storage::test
