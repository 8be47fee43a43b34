// Passes over chunks of images: forward and reverse pass objects with buffers of their own, kept
// from step to step, the loop that shares chunks among torch's threads, and what a reverse pass in
// torch's graph keeps.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
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

// Of one forward: a pass a chunk, kept until its reverse pass is done.
template <class Pass> class KeptPasses {
 public:
  KeptPasses(std::shared_ptr<PassPool<Pass>> pool, const Chunks& of)
      : chunks(of), pool_(std::move(pool)), passes_(static_cast<std::size_t>(of.number())) {}
  KeptPasses(KeptPasses&&) noexcept = default;
  KeptPasses& operator=(KeptPasses&&) = delete;
  ~KeptPasses() { release(); }
  std::unique_ptr<Pass>& operator[](std::int64_t k) { return passes_[static_cast<std::size_t>(k)]; }
  bool released() const { return std::ssize(passes_) != chunks.number(); }
  void release() {
    for (auto& pass : passes_) pool_->give_back(std::move(pass));
    passes_.clear();
  }

  const Chunks chunks;
 private:
  std::shared_ptr<PassPool<Pass>> pool_;
  std::vector<std::unique_ptr<Pass>> passes_;
};

// First in a reverse pass in torch's graph that can run once and has no gradient itself:
// Error(kRuntime). who: "energy net"; what: it went forward to, "f"; hint: behind the second error.
void check_reverse(bool released, const char* who, const char* what, const char* hint = "");

}  // namespace hebm::nets
