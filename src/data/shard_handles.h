// Internal to the latent cache: open descriptors of its shards, at most kMaxOpen at a time (a process may often have
// 1,024 in all, a cache 99,999 shards). Safe to use from several threads.
#pragma once
#include <cstddef>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "storage/files.h"

namespace hebm::data {

class ShardHandles {
 public:
  static constexpr std::size_t kMaxOpen = 256;
  explicit ShardHandles(std::size_t num_shards) : open_(num_shards) {}

  // The file stays open as long as the caller holds the pointer.
  std::shared_ptr<const storage::ReadOnlyFile> get(std::size_t shard, const std::filesystem::path& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (open_[shard]) return open_[shard];
    if (order_.size() >= kMaxOpen) {
      open_[order_.front()].reset();
      order_.pop_front();
    }
    open_[shard] = std::make_shared<const storage::ReadOnlyFile>(path);
    order_.push_back(shard);
    return open_[shard];
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<const storage::ReadOnlyFile>> open_;
  std::deque<std::size_t> order_;  // oldest first
};

}  // namespace hebm::data
