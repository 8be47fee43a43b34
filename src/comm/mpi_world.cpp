// The life of the MPI world: start, polling waits and what happens when they fail, the end.
#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include "base/host.h"
#include "base/progress.h"
#include "comm/end_process.h"
#include "comm/mpi_communicator.h"

namespace hebm::comm {
namespace {

constexpr double kQuiet_s = 0.1;        // shorter waits are everyday's: nobody is asked, nobody answers
constexpr double kInitTimeout_s = 120;  // MPI_Init on many nodes; also MPI_Finalize and MPI_Abort have no time-out

// How to poll for a peer: first without giving the core away (where each rank has its own), then by
// yielding, then by sleeps that grow with the time waited, so that they add at most 5 % to it.
class Backoff {
 public:
  explicit Backoff(bool spin) : spin_s_(spin ? 200e-6 : 0.0), yield_s_(spin ? 50e-3 : 200e-6) {}

  // Seconds waited so far. A pause counts for at most 1 s: while this process or the whole job was
  // stopped (SIGSTOP, a suspended job), the time that passed says nothing about the peers.
  double waited_s() const { return waited_s_; }

  void pause() {
    if (waited_s_ >= spin_s_) {
      if (waited_s_ < yield_s_) {
        sched_yield();
      } else {
        std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(waited_s_ * 0.05, 50e-6, 1e-3)));
      }
    }
    const auto now = std::chrono::steady_clock::now();
    waited_s_ += std::min(1.0, std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }
 private:
  double spin_s_, yield_s_, waited_s_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

std::string error_text(int result) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(result, text.data(), &length) != MPI_SUCCESS) return fmt::format("MPI error {}", result);
  return std::string(text.data(), static_cast<std::size_t>(length));
}

void check_start(int result, const char* function) {
  if (result == MPI_SUCCESS) return;
  fail(ExitCode::kEnvironment, "{} failed: {}; `hebm_dist doctor` shows versions and placement", function,
      error_text(result));
}

}  // namespace

std::string Call::describe() const {
  const char* type_name = type == 'f' ? "float" : type == 'd' ? "double" : type == 'i' ? "int64" : "byte";
  switch (kind) {
    case Kind::kAllReduce: {
      constexpr std::array kOps = {"sum", "min", "max"};
      const char* op = detail >= 0 && detail < 3 ? kOps[static_cast<std::size_t>(detail)] : "?";
      return fmt::format("collective {}: all_reduce({}) of {} x {}", number, op, count, type_name);
    }
    case Kind::kBroadcast:
      return fmt::format("collective {}: broadcast of {} bytes from rank {}", number, count, detail);
    case Kind::kAllGather: return fmt::format("collective {}: all_gather", number);
    case Kind::kGather: return fmt::format("collective {}: gather", number);
    case Kind::kBarrier: return fmt::format("collective {}: barrier", number);
    case Kind::kSum: return fmt::format("gradient sum {} '{}' of {} x {}", number, name, count, type_name);
  }
  return fmt::format("collective {}: unknown kind {}", number, static_cast<std::int64_t>(kind));
}

MpiCommunicator::MpiCommunicator(
    const CommOptions& options, const LaunchEnvironment& launch, std::int64_t piece_elements)
    : hang_timeout_s_(options.hang_timeout_s), last_words_(options.last_words), piece_elements_(piece_elements) {
  check(piece_elements_ >= 1 && piece_elements_ <= kPieceElements, ExitCode::kRuntime, "piece of {} elements",
      piece_elements_);
  check_can_connect(launch);
  initialise();
  check_world(launch, size_);
  set_on_tick([this] {
    if (!broken_) roll_call_->answer_at_work(Phase::name_now());
  });
}

void MpiCommunicator::initialise() {
  const Deadline deadline("MPI_Init_thread", kInitTimeout_s, 0, static_cast<int>(ExitCode::kEnvironment));
  int initialised = 0;
  check_start(MPI_Initialized(&initialised), "MPI_Initialized");
  check(initialised == 0, ExitCode::kRuntime, "there is an MPI world already: a process makes its communicator once");
  int provided = MPI_THREAD_SINGLE;
  const int started = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  // MPI_Error_string may not be called before MPI is up.
  check(started == MPI_SUCCESS, ExitCode::kEnvironment, "MPI_Init_thread failed with MPI error {}", started);
  check_start(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(provided >= MPI_THREAD_SERIALIZED, ExitCode::kEnvironment,
      "this MPI library gives thread level {} where {} (MPI_THREAD_SERIALIZED) is needed", provided,
      static_cast<int>(MPI_THREAD_SERIALIZED));
  check_start(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check_start(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  // Duplicates inherit the error handler.
  check_start(MPI_Comm_dup(MPI_COMM_WORLD, &control_), "MPI_Comm_dup");
  check_start(MPI_Comm_dup(MPI_COMM_WORLD, &sums_), "MPI_Comm_dup");
  MPI_Comm roll_call = MPI_COMM_NULL;
  check_start(MPI_Comm_dup(MPI_COMM_WORLD, &roll_call), "MPI_Comm_dup");
  roll_call_ = std::make_unique<RollCall>(roll_call);
  find_node();
}

void MpiCommunicator::find_node() {
  MPI_Comm local = MPI_COMM_NULL;
  check_start(MPI_Comm_split_type(control_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local), "MPI_Comm_split_type");
  int local_size = 1;
  check_start(MPI_Comm_size(local, &local_size), "MPI_Comm_size");
  check_start(MPI_Comm_rank(local, &local_rank_), "MPI_Comm_rank");
  node_ = rank_;
  check_start(MPI_Allreduce(MPI_IN_PLACE, &node_, 1, MPI_INT, MPI_MIN, local), "MPI_Allreduce");
  spin_ = local_size <= std::max(1L, sysconf(_SC_NPROCESSORS_ONLN));
  check_start(MPI_Comm_free(&local), "MPI_Comm_free");
}

MpiCommunicator::~MpiCommunicator() {
  set_on_tick({});
  // After an exception or a failed call peers may never come here; who catches it calls abort.
  if (broken_ || std::uncaught_exceptions() > exceptions_at_start_ || control_ == MPI_COMM_NULL) return;
  const double limit_s = hang_timeout_s_ > 0 ? std::min(hang_timeout_s_, kEndTimeout_s) : kEndTimeout_s;
  const Deadline deadline("MPI_Finalize", limit_s, rank_, static_cast<int>(ExitCode::kPeer));
  if (MPI_Finalize() != MPI_SUCCESS) fmt::print(stderr, "rank {}: MPI_Finalize failed\n", rank_);
}

void MpiCommunicator::check_usable(const Call& call) const {
  if (broken_) {
    fail(ExitCode::kPeer, "{}: not started, since an earlier operation failed on this rank", call.describe());
  }
  if (std::this_thread::get_id() != main_thread_) {
    fail(ExitCode::kRuntime, "{}: called from a thread other than the one that made the communicator", call.describe());
  }
}

void MpiCommunicator::check_mpi(int result, const char* function, const Call& call) {
  if (result == MPI_SUCCESS) return;
  broken_ = true;
  int error_class = MPI_ERR_UNKNOWN;
  if (MPI_Error_class(result, &error_class) != MPI_SUCCESS) error_class = MPI_ERR_UNKNOWN;
  // Lengths that differ are a mistake of the program, all else is taken for a lost peer.
  const bool mismatch = error_class == MPI_ERR_TRUNCATE || error_class == MPI_ERR_COUNT;
  fail(mismatch ? ExitCode::kRuntime : ExitCode::kPeer, "{}: {} failed: {}", call.describe(), function,
      error_text(result));
}

void MpiCommunicator::wait(std::span<MPI_Request> requests, const Call& call) {
  poll(call, spin_, [&] {
    int done = 0;
    check_mpi(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE),
        "MPI_Testall", call);
    return done != 0;
  });
}

void MpiCommunicator::poll(const Call& call, bool spin, const std::function<bool()>& done) {
  double silence_s = 0;
  std::string what;
  for (Backoff backoff(spin); !done(); backoff.pause()) {
    if (backoff.waited_s() < kQuiet_s) continue;
    if (what.empty()) {
      silence_s = hang_timeout_s_ > 0 ? hang_timeout_s_ : Phase::silence_now_s();
      what = call.describe();
      roll_call_->begin();
    }
    const auto verdict = roll_call_->watch(backoff.waited_s(), silence_s, what);
    if (verdict) give_up(call, backoff.waited_s(), silence_s, *verdict);
  }
  last_done_ = call;
}

void MpiCommunicator::give_up(const Call& call, double waited_s, double silence_s, const RollCall::Verdict& verdict) {
  const std::string phase = Phase::name_now();
  const std::string limit = hang_timeout_s_ > 0 ? fmt::format("comm.hang_timeout_s = {:g}", hang_timeout_s_)
                                                : fmt::format("comm.hang_timeout_s = 0, here {:g} s", silence_s);
  const std::string message = fmt::format(
      "rank {} of {} on {}: {}{} waited {:.1f} s for the other ranks ({}): {}. The last collective that all ranks "
      "entered: {}. All ranks end with exit code {}, the newest checkpoint is valid",
      rank_, size_, host_name(), phase.empty() ? "" : phase + ": ", call.describe(), waited_s, limit, verdict.who,
      last_done_.number == 0 ? "none" : last_done_.describe(), static_cast<int>(verdict.code));
  last_words_ ? last_words_(message) : fmt::print(stderr, "{}\n", message);
  abort(static_cast<int>(verdict.code));
}

void MpiCommunicator::abort(int exit_code) {
  broken_ = true;
  record_abort(rank_, exit_code);
  std::fflush(stdout);
  std::fflush(stderr);
  const Deadline deadline("MPI_Abort", kEndTimeout_s, rank_, exit_code);
  int finalized = 0;
  if (MPI_Finalized(&finalized) == MPI_SUCCESS && finalized == 0) MPI_Abort(MPI_COMM_WORLD, exit_code);
  leave_now(exit_code);
}

}  // namespace hebm::comm
