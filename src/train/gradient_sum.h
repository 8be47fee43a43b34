// Sums the gradients of all buckets over micro-batches and ranks (Alg. 1, line 7, data parallel).
// Consecutive small buckets are summed together, by one collective. A sum starts once the last
// local backward of its buckets and of all before them ended, so all ranks start in one order.
// Under NCCL sums are made on the GPU, else on the host.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>
#include "comm/communicator.h"
#include "nets/parameters.h"

namespace hebm::train {

// A net with an optimiser and an average of its own; prefix: of its names in checkpoints.
struct Bucket {
  std::string prefix;
  nets::Parameters& params;
};

class GradientSum {
 public:
  static constexpr std::int64_t kJoinedBytes = 1 << 17;  // docs/performance.md
  // Fast: floats, local micro-batches accumulate in the gradient buffer. Deterministic: int64 with
  // one power-of-two scale a bucket (from the global largest entry), so the sum has the same bits
  // in any order; costs a copy of the gradient per local micro-batch and one small reduction more.
  // joined_bytes: buckets are summed together as long as their values have no more; 0: each alone.
  GradientSum(comm::Communicator& comm, std::vector<Bucket> buckets, bool deterministic, std::int64_t num_micro_batches,
      std::int64_t joined_bytes = kJoinedBytes);
  // Zeroes the gradients. expected[b]: local backward passes of bucket b in this update.
  void begin(std::vector<std::int64_t> expected);
  void backward_done(std::size_t bucket);
  // All sums are in params.grad().
  void finish();
  // Of the gradients, by bucket: in float64 and a fixed order on the host, so that all ranks have
  // the same bits.
  std::vector<double> norms() const;
  double bytes_per_update() const {
    double values = 0;
    for (const Bucket& bucket : buckets_) values += static_cast<double>(bucket.params.size());
    return values * (deterministic_ ? 8 : 4);
  }
  std::int64_t collectives_per_update() const { return std::ssize(groups_) + (deterministic_ ? 1 : 0); }
  double waited_s() const { return waited_s_; }  // since construction
 private:
  // Buckets [first, last), summed by one collective.
  struct Group {
    std::size_t first, last;
    at::Tensor joined;  // the values of several, in memory that is kept
    at::Tensor sum;     // being summed: `joined`, the one gradient itself, or a copy on the host
    std::unique_ptr<comm::Pending> pending;
  };

  void start_ready();
  void finish_deterministic();
  // Starts the sum of these values of its buckets, float or int64.
  void start(Group& group, const std::vector<at::Tensor>& values);
  // Waits: the sums of its buckets.
  std::vector<at::Tensor> finish(Group& group);
  at::Tensor summable(const at::Tensor& values) const;
  std::vector<double> largest_gradients() const;

  comm::Communicator& comm_;
  std::vector<Bucket> buckets_;
  bool deterministic_;
  std::int64_t num_micro_batches_;
  std::vector<Group> groups_;
  std::vector<std::int64_t> expected_;         // backward passes still to come, by bucket
  std::size_t started_ = 0;                    // groups whose sum is under way
  std::vector<std::vector<at::Tensor>> kept_;  // [bucket][local micro-batch]
  double waited_s_ = 0;
};

}  // namespace hebm::train
