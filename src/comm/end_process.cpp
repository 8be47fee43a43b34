#include "comm/end_process.h"
#include <fmt/core.h>
#include <unistd.h>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stop_token>

namespace hebm::comm {

void record_abort(int rank, int exit_code) noexcept {
  const char* folder = std::getenv("HEBM_EXIT_DIR");
  if (folder == nullptr || *folder == '\0') return;
  const double now_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  // There at once or not at all, on a full disk too; where one is there, the first reason counts.
  static_cast<void>(
      ::symlink(fmt::format("{} {:.6f}", exit_code, now_s).c_str(), fmt::format("{}/abort.{}", folder, rank).c_str()));
}

void leave_now(int exit_code) noexcept {
  std::fflush(stdout);
  std::fflush(stderr);
  ::_exit(exit_code);
}

Deadline::Deadline(std::string what, double seconds, int rank, int exit_code)
    : thread_([what = std::move(what), seconds, rank, exit_code](const std::stop_token& met) {
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any nobody_notifies;
        nobody_notifies.wait_for(lock, met, std::chrono::duration<double>(seconds), [] { return false; });
        if (met.stop_requested()) return;
        fmt::print(stderr, "rank {}: {} has not returned after {:.1f} s; this process ends with exit code {}\n", rank,
            what, seconds, exit_code);
        record_abort(rank, exit_code);
        ::_exit(exit_code);
      }) {}

}  // namespace hebm::comm
