#include "base/progress.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

namespace hebm {
namespace {

constexpr std::size_t kMaxRounds = 101;
constexpr double kMedians = 5, kTickEvery_s = 0.2;

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

thread_local Phase* innermost = nullptr;

// ticked_by: the thread whose ticks count. The others are read there alone.
std::atomic<std::thread::id> ticked_by{};
std::function<void()> on_tick;
double last_tick_s = 0;

}  // namespace

Phase::Phase(std::string name) : outer_(std::exchange(innermost, this)), name_(std::move(name)) {}

Phase::~Phase() { innermost = outer_; }

void Phase::next(std::string name) {
  const double now = now_s();
  if (in_rounds_) rounds_s_.push_back(now - started_s_);
  if (rounds_s_.size() > kMaxRounds) rounds_s_.pop_front();
  in_rounds_ = true;
  started_s_ = now;
  name_ = std::move(name);
}

double Phase::silence_s(std::deque<double> rounds_s) {
  if (rounds_s.empty()) return kLongSilence_s;
  const auto middle = rounds_s.begin() + std::ssize(rounds_s) / 2;
  std::nth_element(rounds_s.begin(), middle, rounds_s.end());
  return std::max(kSilence_s, kMedians * *middle);
}

std::string Phase::name_now() { return innermost == nullptr ? "" : innermost->name_; }

double Phase::silence_now_s() { return innermost == nullptr ? kSilence_s : silence_s(innermost->rounds_s_); }

void tick() {
  if (ticked_by.load(std::memory_order_relaxed) != std::this_thread::get_id()) return;
  const double now = now_s();
  if (now - last_tick_s < kTickEvery_s) return;
  last_tick_s = now;
  on_tick();
}

void set_on_tick(std::function<void()> answer) {
  ticked_by = answer ? std::this_thread::get_id() : std::thread::id();
  on_tick = std::move(answer);
}

}  // namespace hebm
