#include "base/signals.h"
#include <atomic>
#include <cerrno>
#include <cstring>
#include "base/error.h"

namespace hebm {
namespace {

// A handler reaches nothing but static storage; lock-free atomics are what it may touch.
std::atomic<int> first_signal{0};
std::atomic<int> interrupts{0};
std::atomic<bool> installed{false};
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void note_stop(int number) {
  int none = 0;
  first_signal.compare_exchange_strong(none, number);
  if (number != SIGINT || ++interrupts < 2) return;
  // The second SIGINT: end as a process without a handler does, so that the parent sees the signal.
  // Both calls are async-signal-safe; the raised one is delivered when this handler returns.
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
}

}  // namespace

StopFlag::StopFlag() {
  check(!installed.exchange(true), ExitCode::kRuntime, "there is a StopFlag in this process already");
  first_signal = 0;
  interrupts = 0;
  struct sigaction action {};
  action.sa_handler = note_stop;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on
  sigemptyset(&action.sa_mask);
  for (int number : kSignals) sigaddset(&action.sa_mask, number);  // one handler at a time
  struct sigaction ignored {};
  ignored.sa_handler = SIG_IGN;
  // As below, it fails only for an invalid signal.
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    bool done = ::sigaction(kSignals[i], nullptr, &former_[i]) == 0;
    const bool stays = kSignals[i] == SIGHUP && former_[i].sa_handler == SIG_IGN;
    if (!stays) done = done && ::sigaction(kSignals[i], kSignals[i] == SIGPIPE ? &ignored : &action, nullptr) == 0;
    check(done, ExitCode::kRuntime, "cannot install a signal handler: {}", std::strerror(errno));
  }
}

StopFlag::~StopFlag() {
  // Fails only for an invalid signal, and these were accepted before.
  for (std::size_t i = 0; i < kSignals.size(); ++i) static_cast<void>(::sigaction(kSignals[i], &former_[i], nullptr));
  installed = false;
}

int StopFlag::signal() const { return first_signal; }

}  // namespace hebm
