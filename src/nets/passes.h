// Passes over chunks of images: forward and reverse pass objects with buffers of their own, kept
// from step to step, and the loop that shares chunks among torch's threads.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace hebm::nets {

// How a batch is cut: all chunks have `size` rows but the last.
struct Chunks {
  std::int64_t count = 0, size = 1;
  // At most `largest` rows, and work for every thread.
  static Chunks of(std::int64_t count, std::int64_t largest);
  std::int64_t number() const { return (count + size - 1) / size; }
  std::int64_t first(std::int64_t k) const { return k * size; }
  std::int64_t rows(std::int64_t k) const { return std::min(size, count - first(k)); }
  // work(k), chunks over threads; a single one, or one inside a thread, leaves them to its
  // operations. Nothing in it is recorded by autograd.
  void each(const std::function<void(std::int64_t k)>& work) const;
};

// Pass: images() of it. What is given back is taken again by the next step.
template <class Pass> class PassPool {
 public:
  template <class Make> std::unique_ptr<Pass> take(std::int64_t images, const Make& make) {
    {
      const std::lock_guard lock(mutex_);
      const auto found =
          std::find_if(idle_.begin(), idle_.end(), [&](const auto& pass) { return pass->images() == images; });
      if (found != idle_.end()) {
        auto pass = std::move(*found);
        idle_.erase(found);
        return pass;
      }
    }
    return make(images);
  }
  void give_back(std::unique_ptr<Pass> pass) {
    if (!pass) return;  // a chunk that failed has none
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(pass));
  }
 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Pass>> idle_;
};

}  // namespace hebm::nets
