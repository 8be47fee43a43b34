// T_beta(u) of a frozen NVAE on the CPU in float32, the inner loop of every chain: folded weights
// and one forward and one reverse pass of our own (nvae_frozen_pass.h), chunks of images
// shared by the threads. Equal to Nvae::transport to rounding.
#pragma once
#include <ATen/core/Tensor.h>
#include <memory>
#include <mutex>
#include <vector>
#include "vae/nvae_frozen_pass.h"

namespace hebm::vae {

class NvaeFrozen : public std::enable_shared_from_this<NvaeFrozen> {
 public:
  // slice: hidden channels of a cell at a time, a multiple of 32; images: of a pass; 0 chooses.
  explicit NvaeFrozen(const Nvae& net, std::int64_t slice = 0, std::int64_t images = 0);
  // u [B, D] float32 -> z [L] of [B, c, h, w]; differentiable in u once (no second backward through
  // the same z, no double backward).
  std::vector<at::Tensor> transport(const at::Tensor& u) const;
  // Images of one forward and reverse pass for a batch of `count`.
  std::int64_t chunk(std::int64_t count) const;
 private:
  friend struct FrozenTransportNode;
  using Passes = std::vector<std::unique_ptr<FrozenPass>>;
  std::unique_ptr<FrozenPass> take(std::int64_t images) const;
  void give_back(std::unique_ptr<FrozenPass> pass) const;

  FoldedDecoder decoder_;
  std::int64_t images_;  // of a pass at most
  mutable std::mutex mutex_;
  mutable Passes idle_;  // kept for the next step
};

}  // namespace hebm::vae
