#include "data/prefetch.h"
#include <utility>
#include "base/error.h"
#include "base/status.h"

namespace hebm::data {

Prefetcher::Prefetcher(
    const LatentCache& cache, Plan plan, std::int64_t first_step, std::int64_t last_step, std::size_t depth)
    : cache_(cache), plan_(std::move(plan)), last_step_(last_step), depth_(depth), next_step_(first_step) {
  check(first_step >= 0 && first_step <= last_step && depth >= 1, ExitCode::kRuntime,
      "read-ahead: expected 0 <= first step <= last step and depth >= 1, got {}, {}, {}", first_step, last_step, depth);
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

LatentBatch Prefetcher::load(std::int64_t step) const {
  Request request = plan_(step);
  const std::size_t count = request.positions.size();
  const bool fits = request.visits.size() == count && (request.index.empty() || request.index.size() == count);
  check(fits, ExitCode::kRuntime, "read-ahead of step {}: expected {} image numbers and visits, got {} and {}", step,
      count, request.index.size(), request.visits.size());
  LatentBatch batch;
  batch.count = static_cast<std::int64_t>(count);
  batch.dim = cache_.layout().dim();
  batch.u.resize(count * static_cast<std::size_t>(batch.dim));
  cache_.read(request.positions, request.draws, batch.u);
  batch.index = std::move(request.index);
  if (batch.index.empty())
    for (const std::int64_t position : request.positions) batch.index.push_back(cache_.global_index(position));
  batch.visit = std::move(request.visits);
  return batch;
}

void Prefetcher::work(const std::stop_token& stop) {
  try {
    for (std::int64_t step = next_step_; step < last_step_ && !stop.stop_requested(); ++step) {
      LatentBatch batch = load(step);
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return ready_.size() < depth_; })) return;
      ready_.push_back(std::move(batch));
      changed_.notify_all();
    }
  } catch (...) {  // handed to next(), which throws it in its turn
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
    changed_.notify_all();
  }
}

LatentBatch Prefetcher::next() {
  check(next_step_ < last_step_, ExitCode::kRuntime, "read-ahead: expected a step below {}, got {}", last_step_,
      next_step_);
  std::unique_lock lock(mutex_);
  if (ready_.empty() && !error_) {
    const Timer timer;
    changed_.wait(lock, [this] { return !ready_.empty() || error_ != nullptr; });
    waited_s_ += timer.seconds();
  }
  if (ready_.empty()) std::rethrow_exception(error_);
  LatentBatch batch = std::move(ready_.front());
  ready_.pop_front();
  ++next_step_;
  changed_.notify_all();
  return batch;
}

}  // namespace hebm::data
