#include "comm/end_process.h"
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>

namespace hebm::comm {

void record_abort(int rank, int exit_code) noexcept {
  const char* folder = std::getenv("HEBM_EXIT_DIR");
  if (folder == nullptr || *folder == '\0') return;
  char path[4096];
  char line[64];
  const int path_length = std::snprintf(path, sizeof path, "%s/abort.%d", folder, rank);
  if (path_length < 0 || path_length >= static_cast<int>(sizeof path)) return;
  const double now_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const int length = std::snprintf(line, sizeof line, "%d %.6f\n", exit_code, now_s);
  // O_EXCL: the first reason counts.
  const int file = ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return;
  const bool written = ::write(file, line, static_cast<std::size_t>(length)) == length;
  if (::close(file) != 0 || !written) ::unlink(path);
}

void leave_now(int exit_code) noexcept {
  std::fflush(stdout);
  std::fflush(stderr);
  ::_exit(exit_code);
}

Deadline::Deadline(std::string what, double seconds, int rank, int exit_code)
    : thread_([this, what = std::move(what), seconds, rank, exit_code] {
        std::unique_lock lock(mutex_);
        if (finished_changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return finished_; })) {
          return;
        }
        fmt::print(stderr, "rank {}: {} has not returned after {:.1f} s; this process ends with exit code {}\n", rank,
            what, seconds, exit_code);
        record_abort(rank, exit_code);
        ::_exit(exit_code);
      }) {}

Deadline::~Deadline() {
  {
    const std::lock_guard lock(mutex_);
    finished_ = true;
  }
  finished_changed_.notify_one();
  thread_.join();
}

}  // namespace hebm::comm
