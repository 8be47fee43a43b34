// Internal to the latent cache: open descriptors of its shards, at most max_open at a time (a
// process may often have 1,024 in all, a cache 99,999 shards). Safe to use from several threads.
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
  explicit ShardHandles(std::size_t num_shards, std::size_t max_open = 256) : max_open_(max_open), open_(num_shards) {}

  // The file stays open as long as the caller holds the pointer.
  std::shared_ptr<const storage::ReadOnlyFile> get(std::size_t shard, const std::filesystem::path& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (open_[shard]) return open_[shard];
    if (order_.size() >= max_open_) {
      open_[order_.front()].reset();
      order_.pop_front();
    }
    open_[shard] = std::make_shared<const storage::ReadOnlyFile>(path);
    order_.push_back(shard);
    return open_[shard];
  }
 private:
  const std::size_t max_open_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const storage::ReadOnlyFile>> open_;
  std::deque<std::size_t> order_;  // oldest first
};

}  // namespace hebm::data
