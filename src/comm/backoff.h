// How to poll for a peer: first without giving the core away (where each rank has its own), then by
// yielding, then by sleeps that grow with the time waited, so that they add at most 5 % to it.
#pragma once
#include <sched.h>
#include <algorithm>
#include <chrono>
#include <thread>

namespace hebm::comm {

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

}  // namespace hebm::comm
