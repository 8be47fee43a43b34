// Talk on stderr: log lines and one status line with percent, rate and ETA (rewritten on a
// terminal, else a whole line at most every 30 s). Only the rank told to be loud prints. The log is
// also kept in RUN/log.txt once a run is open.
#pragma once
#include <fmt/core.h>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

namespace hebm {

class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void restart() { start_ = std::chrono::steady_clock::now(); }
 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// "1 h 02 min", "3 min 20 s", "12.3 s"
std::string format_duration(double seconds);
std::string format_bytes(double bytes);  // "1.5 GiB"

class Logger {
 public:
  explicit Logger(bool loud = true);
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  // Appends to this file too from now on (rank 0 of a run). Error(kRuntime) if it cannot be opened;
  // a line that cannot be written later is worth one warning on stderr, never the run.
  void open_file(const std::string& path);
  void write(std::string_view message);  // one line, with the time of day in the file
  template <class... Args> void line(fmt::format_string<Args...> format, Args&&... args) {
    write(fmt::format(format, std::forward<Args>(args)...));
  }
 private:
  friend class StatusLine;
  void clear_status();
  void show_status(std::string line);      // on a terminal; cut to its width
  void put_line(const std::string& line);  // above the status line
  void close_file();
  bool loud_, terminal_;
  std::FILE* file_ = nullptr;
  std::string path_;
  std::string status_;  // what stands on the terminal's last line
};

// `total` units of work, of which `start` were done before this process began (resume): rate and
// ETA count only new ones. cost(n): of the first n units where they differ; the ETA follows it.
// Without finish() (an error on its way) the destructor clears the line.
class StatusLine {
 public:
  using Cost = std::function<double(std::int64_t)>;
  StatusLine(Logger& logger, std::string what, std::int64_t total, std::int64_t start = 0, Cost cost = {});
  ~StatusLine();
  void update(std::int64_t done, std::string_view detail = {});
  void finish();
 private:
  std::string text(std::string_view detail) const;

  Logger& logger_;
  std::string what_;
  std::int64_t total_, start_, done_ = 0;
  Cost cost_;
  Timer timer_;
  double last_print_s_ = -1e9;
  bool finished_ = false;
};

}  // namespace hebm
