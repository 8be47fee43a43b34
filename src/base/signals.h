// Stop requests: SIGTERM, SIGUSR1 and SIGUSR2 (schedulers), SIGINT and SIGHUP (a person) only set a
// flag, which the training loop reads at a step's end and agrees on over all ranks. A second SIGINT
// ends the process at once, as without a handler. A reader of the talk that leaves (`| head`,
// SIGPIPE) ends nothing.
#pragma once
#include <array>
#include <csignal>

namespace hebm {

// Installs the handlers and restores the former ones when it goes; a SIGHUP that is ignored (nohup)
// stays so. One at a time in a process, made by main's thread before others start: a second one is
// an Error(kRuntime).
class StopFlag {
 public:
  StopFlag();
  ~StopFlag();
  StopFlag(const StopFlag&) = delete;
  StopFlag& operator=(const StopFlag&) = delete;

  bool requested() const { return signal() != 0; }
  int signal() const;  // the first one that came, 0 if none did
 private:
  static constexpr std::array<int, 6> kSignals{SIGTERM, SIGUSR1, SIGUSR2, SIGHUP, SIGINT, SIGPIPE};
  std::array<struct sigaction, kSignals.size()> former_{};
};

}  // namespace hebm
