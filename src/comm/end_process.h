// Ways to end a process that cannot go on, and a guard for calls that have no time-out.
#pragma once
#include <string>
#include <thread>

namespace hebm::comm {

constexpr double kEndTimeout_s = 20;  // of what ends a world: MPI and NCCL have no time-out there

// Leaves a note for launch/mpirun and launch/srun (a symbolic link abort.RANK -> "CODE TIME" in
// $HEBM_EXIT_DIR, if set): this rank ends the world on purpose with this code, so the signals that
// then kill the other ranks are consequences. Best effort: it must not stop the abort.
void record_abort(int rank, int exit_code) noexcept;

// Flushes stdio and leaves without destructors or exit handlers: threads may be inside locks,
// buffers may be in flight.
[[noreturn]] void leave_now(int exit_code) noexcept;

// Lives it longer, it prints "WHAT has not returned after N s" and leaves with exit_code.
class Deadline {
 public:
  Deadline(std::string what, double seconds, int rank, int exit_code);
 private:
  std::jthread thread_;
};

}  // namespace hebm::comm
