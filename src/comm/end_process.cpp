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
  const std::string path = fmt::format("{}/abort.{}", folder, rank);
  std::FILE* file = std::fopen(path.c_str(), "wxe");  // x: the first reason counts
  if (file == nullptr) return;
  const double now_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const bool written = std::fprintf(file, "%d %.6f\n", exit_code, now_s) > 0;
  if (std::fclose(file) != 0 || !written) ::unlink(path.c_str());
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
