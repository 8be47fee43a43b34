// One read-ahead thread for the latent cache: while the model works on step s, the latents of s+1
// .. s+depth are read. Every batch is a function of its step alone, so reading ahead changes
// nothing but the waiting.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>
#include "base/types.h"
#include "data/latent_cache.h"

namespace hebm::data {

class Prefetcher {
 public:
  struct Request {                        // members of this rank's part of one step, in the batch's order
    std::vector<std::int64_t> positions;  // in the cache's list
    std::vector<std::int64_t> draws;      // 0..R-1
    std::vector<std::int64_t> index;      // global image numbers; empty: the cache's own
    std::vector<std::uint32_t> visits;
  };
  using Plan = std::function<Request(std::int64_t step)>;

  // Steps first_step .. last_step - 1. `plan` runs on the thread; `cache` must outlive this object.
  Prefetcher(
      const LatentCache& cache, Plan plan, std::int64_t first_step, std::int64_t last_step, std::size_t depth = 2);
  ~Prefetcher() = default;  // the thread is asked to stop and joined before anything it uses goes
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // The batch of the next step; an exception of the thread is thrown here when its step is reached,
  // and from then on.
  LatentBatch next();
  double waited_s() const { return waited_s_; }  // in next(), so far
 private:
  void work(const std::stop_token& stop);
  LatentBatch load(std::int64_t step) const;

  const LatentCache& cache_;
  const Plan plan_;
  const std::int64_t last_step_;
  const std::size_t depth_;
  std::int64_t next_step_;  // that next() returns
  double waited_s_ = 0;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<LatentBatch> ready_;
  std::exception_ptr error_;
  std::jthread thread_;  // last: destroyed, and so joined, first
};

}  // namespace hebm::data
