#include "nets/planned_memory.h"
#include <ATen/ExpandUtils.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/Allocator.h>
#include <torch/library.h>
#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <vector>

namespace hebm::nets {
namespace {

// Gives no memory, and knows how much of it is in use.
class Counter final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    live_ += static_cast<std::int64_t>(bytes);
    peak_ = std::max(peak_, live_);
    return {nullptr, new Block{*this, static_cast<std::int64_t>(bytes)}, &let_go, c10::Device(c10::kMeta)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &let_go; }
  void copy_data(void*, const void*, std::size_t) const override {}
  void restart() { peak_ = live_; }
  std::int64_t live() const { return live_; }
  std::int64_t peak() const { return peak_; }
 private:
  struct Block {
    Counter& counter;
    std::int64_t bytes;
  };
  static void let_go(void* block) {
    auto* const mine = static_cast<Block*>(block);
    mine->counter.live_ -= mine->bytes;
    delete mine;
  }
  std::int64_t live_ = 0, peak_ = 0;
};

Counter& counter() {
  static auto* const out = new Counter;  // tensors may outlive main()
  return *out;
}

// What libtorch has for kMeta in Python alone.

at::Tensor same(const at::Tensor& x) { return at::empty_like(x); }

at::Tensor& into(const at::Tensor& /*x*/, at::Tensor& out) { return out; }

at::Tensor choose(const at::Tensor& condition, const at::Tensor& yes, const at::Tensor& no) {
  const auto sizes = at::infer_size(at::infer_size(condition.sizes(), yes.sizes()), no.sizes());
  return at::empty(sizes, (yes.dim() > 0 ? yes : no).options());
}

std::tuple<at::Tensor, at::Tensor> log_sigmoid(const at::Tensor& x) { return {at::empty_like(x), at::empty_like(x)}; }

at::Tensor log_sigmoid_gradient(const at::Tensor& /*dy*/, const at::Tensor& x, const at::Tensor& /*buffer*/) {
  return at::empty_like(x);
}

using Numbers = c10::SymIntArrayRef;

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& /*bias*/,
    Numbers stride, Numbers padding, Numbers /*dilation*/, bool /*transposed*/, Numbers /*output_padding*/,
    const c10::SymInt& /*groups*/) {
  std::vector<std::int64_t> sizes = {x.size(0), weight.size(0)};
  for (std::size_t d = 0; d < stride.size(); ++d) {
    const auto side = static_cast<std::int64_t>(d) + 2;
    sizes.push_back(
        (x.size(side) + 2 * padding[d].expect_int() - weight.size(side)) / stride[d].expect_int() + 1);
  }
  return at::empty(sizes, x.options());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_gradient(const at::Tensor& /*dy*/, const at::Tensor& x,
    const at::Tensor& weight, at::OptionalSymIntArrayRef /*bias_sizes*/, Numbers /*stride*/, Numbers /*padding*/,
    Numbers /*dilation*/, bool /*transposed*/, Numbers /*output_padding*/, const c10::SymInt& /*groups*/,
    std::array<bool, 3> wanted) {
  return {wanted[0] ? at::empty_like(x) : at::Tensor(), wanted[1] ? at::empty_like(weight) : at::Tensor(),
      wanted[2] ? at::empty({weight.size(0)}, weight.options()) : at::Tensor()};
}

TORCH_LIBRARY_IMPL(aten, Meta, library) {
  library.impl("abs", same);
  library.impl("abs.out", into);
  library.impl("relu", same);
  library.impl("where.self", choose);
  library.impl("log_sigmoid_forward", log_sigmoid);
  library.impl("log_sigmoid_backward", log_sigmoid_gradient);
  library.impl("convolution", convolution);
  library.impl("convolution_backward", convolution_gradient);
}

}  // namespace

std::int64_t planned_peak(const std::function<void()>& work) {
  c10::Allocator* const usual = c10::GetAllocator(c10::kMeta);
  constexpr std::uint8_t kPriority = 255;
  struct Restore {
    c10::Allocator* usual;
    ~Restore() { c10::SetAllocator(c10::kMeta, usual, kPriority); }
  } const restore{usual};
  c10::SetAllocator(c10::kMeta, &counter(), kPriority);
  counter().restart();
  const std::int64_t before = counter().live();
  work();
  return counter().peak() - before;
}

}  // namespace hebm::nets
