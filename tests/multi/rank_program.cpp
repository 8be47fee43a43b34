// What a rank can do wrong, by name; launch_test.cpp starts it under launch/mpirun and looks at
// what the user gets. Main is as in hebm_dist: an Error is printed with its rank, then the world is
// aborted; an AgreedError is printed once.
#include <fmt/core.h>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <thread>
#include "base/progress.h"
#include "comm/communicator.h"
#include "comm/end_process.h"

namespace hebm::comm {
namespace {

using std::chrono::milliseconds;

volatile std::sig_atomic_t stop_asked = 0;

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

std::int64_t sum_of_ranks(Communicator& comm) {
  std::array<std::int64_t, 1> value = {comm.rank() + 1};
  comm.all_reduce(value, Op::kSum);
  return value[0];
}

// A sum that rank 1 never reaches, for the reason of `why`.
int lose_rank_1(Communicator& comm, int why) {
  sum_of_ranks(comm);
  if (comm.is_root()) say("ready");
  if (comm.rank() == 1 && why != 0) std::raise(why);
  std::vector<float> gradient(1000, 1.0F);
  comm.start_sum(gradient, "energy of layer 3")->wait();
  return 0;
}

int lose_rank_1_in_control(Communicator& comm) {
  sum_of_ranks(comm);
  if (comm.rank() == 1) std::raise(SIGSTOP);
  sum_of_ranks(comm);
  return 0;
}

// Rank 1 never comes back from its own work.
int spin(Communicator& comm) {
  const Phase phase("test, round 7");
  sum_of_ranks(comm);
  for (volatile bool on = comm.rank() == 1; on;) continue;
  comm.barrier();
  return 0;
}

// Rank 1 works alone for longer than the others wait in silence.
int work_long(Communicator& comm) {
  sum_of_ranks(comm);
  for (int i = 0; comm.rank() == 1 && i < 80; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    tick();
  }
  return comm.size() > 1 && sum_of_ranks(comm) > 0 ? 0 : 1;
}

// Rank 1 goes while mpirun keeps the others alive (--enable-recovery).
int die(Communicator& comm) {
  sum_of_ranks(comm);
  if (comm.rank() == 1) std::raise(SIGKILL);
  sum_of_ranks(comm);
  return 0;
}

// Sums of one length: MPI matches those of different layers, and the last one waits for ever.
int skip_a_sum(Communicator& comm) {
  sum_of_ranks(comm);
  std::vector<float> a(10), b(10);
  if (comm.rank() != 1) comm.start_sum(a, "layer 0")->wait();
  comm.start_sum(b, "layer 1")->wait();
  comm.barrier();
  return 0;
}

int swap_sums(Communicator& comm) {
  std::vector<float> a(10);
  comm.start_sum(a, comm.rank() == 1 ? "layer 1" : "layer 0")->wait();
  comm.barrier();
  return 0;
}

int skip_one(Communicator& comm) {
  sum_of_ranks(comm);
  if (comm.rank() != 1) any(comm, false);
  comm.barrier();
  return 0;
}

int differ_in_count(Communicator& comm) {
  std::vector<double> values(comm.rank() == 1 ? 5 : 4);
  comm.all_reduce(std::span(values), Op::kMax);
  return 0;
}

// Steps until asked to stop; then the ranks need different times to save.
int save_when_asked(Communicator& comm) {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = 1; };
  if (sigaction(SIGUSR1, &action, nullptr) != 0) return 1;
  for (int step = 0; step < 600; ++step) {
    if (step == 1 && comm.is_root()) say("ready");
    if (any(comm, stop_asked != 0)) {
      std::this_thread::sleep_for(milliseconds(50 + 1500 * comm.rank()));
      say(fmt::format("rank {} saved", comm.rank()));
      return static_cast<int>(ExitCode::kRequeue);
    }
    std::this_thread::sleep_for(milliseconds(50));
  }
  return 1;
}

int agree_on_failure(Communicator& comm) {
  agree(comm, [&] {
    if (comm.rank() == 1) fail(ExitCode::kCorrupt, "shard 7 is torn");
  });
  return 0;
}

int abort_alone(Communicator& comm, int code) {
  sum_of_ranks(comm);
  if (comm.rank() == 1) comm.abort(code);
  comm.barrier();
  return 0;
}

// Rank 1 notes why it ends the world and is killed before it can return that code itself.
int abort_and_die(Communicator& comm) {
  sum_of_ranks(comm);
  if (comm.rank() == 1) {
    record_abort(comm.rank(), 4);
    std::raise(SIGKILL);
  }
  comm.barrier();
  return 0;
}

int fail_alone(Communicator& comm) {
  sum_of_ranks(comm);
  if (comm.rank() == 1) fail(ExitCode::kDiverged, "energy is NaN");
  comm.barrier();
  return 0;
}

int forget_a_sum(Communicator& comm) {
  std::vector<float> gradient(10);
  { const auto pending = comm.start_sum(gradient, "forgotten"); }
  comm.barrier();
  return 0;
}

int run(Communicator& comm, std::string_view mode) {
  if (mode == "fine") return comm.size() > 1 && sum_of_ranks(comm) == comm.size() * (comm.size() + 1) / 2 ? 0 : 1;
  if (mode == "hang") return lose_rank_1(comm, SIGSTOP);
  if (mode == "hang-in-control") return lose_rank_1_in_control(comm);
  if (mode == "hang-spin") return spin(comm);
  if (mode == "hang-work") return work_long(comm);
  if (mode == "hang-skip-sum") return skip_a_sum(comm);
  if (mode == "swap-sums") return swap_sums(comm);
  if (mode == "die") return die(comm);
  if (mode == "kill") return lose_rank_1(comm, SIGKILL);
  if (mode == "segfault") return lose_rank_1(comm, SIGSEGV);
  if (mode == "skip") return skip_one(comm);
  if (mode == "count") return differ_in_count(comm);
  if (mode == "save") return save_when_asked(comm);
  if (mode == "agree") return agree_on_failure(comm);
  if (mode == "abort") return abort_alone(comm, 4);
  if (mode == "note") return abort_and_die(comm);
  if (mode == "fail") return fail_alone(comm);
  if (mode == "forget") return forget_a_sum(comm);
  fail(ExitCode::kUsage, "unknown mode {}", mode);
}

int guarded(Communicator& comm, std::string_view mode) {
  try {
    return run(comm, mode);
  } catch (const AgreedError& error) {
    if (comm.is_root()) fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const Error& error) {
    fmt::print(stderr, "rank {}: {}\n", comm.rank(), error.what());
    comm.abort(static_cast<int>(error.code()));
    return 1;  // not reached; GCC does not see that of a virtual function
  }
}

// The communicator dies while the exception unwinds: it must not wait for the other ranks.
int unwind() {
  const auto comm = make_communicator({});
  return fail_alone(*comm);
}

}  // namespace
}  // namespace hebm::comm

int main(int argc, char** argv) {
  using namespace hebm;
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "exit") {  // exit CODE-OF-RANK-0 CODE-OF-RANK-1 ...
    const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
    const int r = rank == nullptr ? 0 : std::atoi(rank);
    std::this_thread::sleep_for(std::chrono::milliseconds(300 * r));  // a known order
    return r + 2 < argc ? std::atoi(argv[r + 2]) : 0;
  }
  try {
    if (mode == "unwind") return comm::unwind();
    comm::CommOptions options;
    options.hang_timeout_s = mode.starts_with("hang") ? 3 : 100;
    const auto comm = comm::make_communicator(options);
    return comm::guarded(*comm, mode);
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  }
}
