// Stop requests: SIGTERM and SIGUSR1 (schedulers) and SIGINT (a person) only set a flag, which the
// training loop reads at a step's end and agrees on over all ranks. A second SIGINT ends the
// process at once, as without a handler.
#pragma once
#include <array>
#include <csignal>

namespace hebm {

// Installs the handlers and restores the former ones when it goes. One at a time in a process, made
// by main's thread before others start: a second one is an Error(kRuntime).
class StopFlag {
 public:
  StopFlag();
  ~StopFlag();
  StopFlag(const StopFlag&) = delete;
  StopFlag& operator=(const StopFlag&) = delete;

  bool requested() const { return signal() != 0; }
  int signal() const;  // the first one that came, 0 if none did
 private:
  static constexpr std::array<int, 3> kSignals{SIGTERM, SIGUSR1, SIGINT};
  std::array<struct sigaction, kSignals.size()> former_{};
};

}  // namespace hebm
