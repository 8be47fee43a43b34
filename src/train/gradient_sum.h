// Sums the gradients of all layers over micro-batches and ranks (Alg. 1, line 7, data parallel). A layer's sum starts as soon as its last
// backward ends. Fast: float, local micro-batches accumulate in the gradient buffer. Deterministic: every micro-batch's gradient becomes
// int64 with one power-of-two scale a layer (from the global largest entry), so the sum has the same bits in any order, for any number of ranks;
// costs a copy of the gradient per local micro-batch and one small extra reduction.
#pragma once
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "nets/parameters.h"

namespace hebm::train {

class GradientSum {
 public:
  GradientSum(comm::Communicator& comm, std::vector<nets::Parameters*> layers, bool deterministic,
              std::int64_t num_micro_batches);
  void begin();  // of an update: zeroes the gradients
  // After the backward of this layer in one local micro-batch; `last`: no more will come from this rank.
  void backward_done(std::size_t layer, bool last);
  // All sums are in params.grad(). Also when this rank had no micro-batch at all.
  void finish();
  double bytes_per_update() const;
  double waited_s() const { return waited_s_; }  // since construction

 private:
  void finish_deterministic();
  comm::Communicator& comm_;
  std::vector<nets::Parameters*> layers_;
  bool deterministic_;
  std::int64_t num_micro_batches_;
  std::vector<std::vector<at::Tensor>> kept_;  // [layer][local micro-batch]
  std::vector<std::unique_ptr<comm::Pending>> pending_;
  double waited_s_ = 0;
};

}  // namespace hebm::train
