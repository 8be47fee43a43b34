// What this process is at, for ranks that wait for it: a phase in words, how long others may wait
// for it in silence, and ticks, the sign of life of one rank's long work. The state is the
// process's, as that of signals.h: storage and chains tick and know no communicator.
#pragma once
#include <deque>
#include <functional>
#include <string>

namespace hebm {

// A stretch of the program, the same on all ranks; a thread's innermost one counts.
class Phase {
 public:
  static constexpr double kSilence_s = 60, kLongSilence_s = 600;

  // Others wait kLongSilence_s: one rank may save, verify or draw while they do, without a tick.
  explicit Phase(std::string name);
  ~Phase();
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;
  // A loop's next round begins, by this name. From the second one on others wait max(60 s, 5 median
  // rounds).
  void next(std::string name);

  // Of the innermost phase; outside of all: "", kSilence_s.
  static std::string name_now();
  static double silence_now_s();
  // After rounds of these lengths.
  static double silence_s(std::deque<double> rounds_s);
 private:
  Phase* outer_;
  std::string name_;
  bool in_rounds_ = false;
  double started_s_ = 0;
  std::deque<double> rounds_s_;  // the last 101
};

// Work was done: called in every loop that one rank may be in for long while others wait.
void tick();

// What tick() does on this thread, at most five times a second: the communicator answers ranks that
// ask whether this one is at work. Empty: nothing.
void set_on_tick(std::function<void()> answer);

}  // namespace hebm
