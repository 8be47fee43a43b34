// T_beta(u) of a frozen backbone on the CPU in float32, the inner loop of every chain: one forward
// and one reverse pass of its own, chunks of images shared by the threads. Equal to the plain path
// to rounding.
#pragma once
#include <ATen/core/Tensor.h>
#include <functional>
#include <memory>
#include <vector>
#include "base/types.h"
#include "nets/passes.h"

namespace hebm::vae {

// Both passes over one chunk of m images, with buffers that are kept from step to step (a fresh
// megabyte costs more in page faults than a matrix product in it). autograd sees none of it.
class FrozenPass {
 public:
  explicit FrozenPass(std::int64_t images) : images_(images) {}
  virtual ~FrozenPass() = default;
  FrozenPass(const FrozenPass&) = delete;
  FrozenPass& operator=(const FrozenPass&) = delete;
  std::int64_t images() const { return images_; }
  // u [m, D] -> z, written to rows [row, row + m) of z[i] [B, n, H, W], channels last in memory.
  // Keeps what reverse() needs.
  virtual void forward(const at::Tensor& u, const std::vector<at::Tensor>& z, std::int64_t row) = 0;
  // grads[i]: d/d z[i], the same rows (undefined: zero) -> d/du, written to out [m, D]. Once a
  // forward(): it uses up what was kept.
  virtual void reverse(const std::vector<at::Tensor>& grads, std::int64_t row, const at::Tensor& out) = 0;
 protected:
  std::int64_t images_;
};

class FrozenPath : public std::enable_shared_from_this<FrozenPath> {
 public:
  // make(m): a pass of m images, at most `images`.
  using Make = std::function<std::unique_ptr<FrozenPass>(std::int64_t images)>;
  FrozenPath(std::vector<LatentShape> shapes, std::int64_t images, Make make)
      : shapes_(std::move(shapes)), images_(images), make_(std::move(make)) {}
  // u [B, D] float32 -> z [L] of [B, c, h, w], channels last; differentiable in u once (no second
  // backward through the same z, no double backward).
  std::vector<at::Tensor> transport(const at::Tensor& u) const;
 private:
  std::vector<LatentShape> shapes_;
  std::int64_t images_;  // of a pass at most
  Make make_;
  mutable nets::PassPool<FrozenPass> pool_;
};

}  // namespace hebm::vae
