#include "nets/planned_memory.h"
#include <ATen/ExpandUtils.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/Allocator.h>
#include <malloc.h>
#include <torch/library.h>
#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

namespace hebm::nets {
namespace {

// Gives no memory, and knows how much of it is in use.
class Counter final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    const auto count = static_cast<std::int64_t>(bytes);
    auto* const block = new Block{count < goes_back_ ? staying_ : large_, count};
    block->sum += count;
    most_staying_ = std::max(most_staying_, staying_);
    peak_ = std::max(peak_, most_staying_ + large_);
    return {nullptr, block, &let_go, c10::Device(c10::kMeta)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &let_go; }
  void copy_data(void*, const void*, std::size_t) const override {}
  void restart(std::int64_t goes_back) {
    goes_back_ = goes_back;
    most_staying_ = staying_;
    peak_ = staying_ + large_;
  }
  std::int64_t live() const { return staying_ + large_; }
  std::int64_t peak() const { return peak_; }
 private:
  struct Block {
    std::int64_t& sum;  // that it is part of
    std::int64_t bytes;
  };
  static void let_go(void* block) {
    auto* const mine = static_cast<Block*>(block);
    mine->sum -= mine->bytes;
    delete mine;
  }
  std::int64_t goes_back_ = kGoesBack, staying_ = 0, large_ = 0, most_staying_ = 0, peak_ = 0;
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

// The rest takes its arguments from a stack, in the order of the operator's schema.
using Stack = std::vector<c10::IValue>;

const c10::IValue& argument_of(const Stack& stack, std::size_t i, std::size_t num_arguments) {
  return stack.at(stack.size() - num_arguments + i);
}

// Replaces the operator's arguments by its results.
template <std::size_t kArguments, class... Results> void answer(Stack& stack, Results&&... results) {
  stack.erase(stack.end() - static_cast<std::ptrdiff_t>(kArguments), stack.end());
  (stack.emplace_back(std::forward<Results>(results)), ...);
}

// (x, weight, bias, stride, padding, dilation, transposed, output_padding, groups). oneDNN's
// convolutions take and give copies in blocks of channels.
void convolution(const c10::OperatorHandle& /*op*/, Stack* stack) {
  constexpr std::size_t kArguments = 9;
  const auto argument = [&](std::size_t i) { return argument_of(*stack, i, kArguments); };
  const auto of_side = [&](std::size_t i, std::int64_t side) {  // one number stands for all sides
    const auto numbers = argument(i).toIntVector();
    return numbers[numbers.size() == 1 ? 0 : static_cast<std::size_t>(side)];
  };
  const at::Tensor x = argument(0).toTensor(), weight = argument(1).toTensor();
  const bool transposed = argument(6).toBool();
  std::vector<std::int64_t> sizes = {x.size(0), transposed ? weight.size(1) * argument(8).toInt() : weight.size(0)};
  for (std::int64_t d = 0; d + 2 < x.dim(); ++d) {
    const std::int64_t in = x.size(d + 2), by = of_side(3, d), edge = weight.size(d + 2) - 2 * of_side(4, d);
    sizes.push_back(transposed ? (in - 1) * by + edge + of_side(7, d) : (in - edge) / by + 1);
  }
  at::Tensor out = at::empty(sizes, x.options());
  const at::Tensor blocked_x = same(x), blocked_out = same(out);
  answer<kArguments>(*stack, std::move(out));
}

// (dy, x, weight, bias_sizes, stride, padding, dilation, transposed, output_padding, groups, mask)
void convolution_gradient(const c10::OperatorHandle& /*op*/, Stack* stack) {
  constexpr std::size_t kArguments = 11;
  const auto argument = [&](std::size_t i) { return argument_of(*stack, i, kArguments); };
  const at::Tensor dy = argument(0).toTensor(), x = argument(1).toTensor(), weight = argument(2).toTensor();
  const auto wanted = argument(10).toBoolList();
  const at::Tensor blocked_dy = same(dy), blocked_x = same(x);
  at::Tensor dx, of_weight, of_bias;
  if (wanted[0]) dx = same(x);
  if (wanted[1]) of_weight = same(weight);
  if (wanted[2]) of_bias = at::empty({dy.size(1)}, weight.options());
  answer<kArguments>(*stack, std::move(dx), std::move(of_weight), std::move(of_bias));
}

// (x, weight, bias, mean, variance, training, momentum, eps), of running statistics.
void batch_norm(const c10::OperatorHandle& /*op*/, Stack* stack) {
  constexpr std::size_t kArguments = 8;
  const at::Tensor x = argument_of(*stack, 0, kArguments).toTensor();
  answer<kArguments>(*stack, same(x), at::empty({0}, x.options()), at::empty({0}, x.options()));
}

void add_operators() {
  static const auto* const kept = [] {
    auto* const library = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::Meta, __FILE__, __LINE__);
    library->impl("abs", same);
    library->impl("abs.out", into);
    library->impl("relu", same);
    library->impl("where.self", choose);
    library->impl("log_sigmoid_forward", log_sigmoid);
    library->impl("log_sigmoid_backward", log_sigmoid_gradient);
    library->impl("native_batch_norm", torch::CppFunction::makeFromBoxedFunction<&batch_norm>());
    library->impl("convolution", torch::CppFunction::makeFromBoxedFunction<&convolution>());
    library->impl("convolution_backward", torch::CppFunction::makeFromBoxedFunction<&convolution_gradient>());
    return library;
  }();
  static_cast<void>(kept);
}

}  // namespace

void let_go_from(std::int64_t bytes) {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(bytes));
#else
  static_cast<void>(bytes);
#endif
}

std::int64_t planned_peak(const std::function<void()>& work, std::int64_t goes_back) {
  add_operators();
  c10::Allocator* const usual = c10::GetAllocator(c10::kMeta);
  constexpr std::uint8_t kPriority = 255;
  struct Restore {
    c10::Allocator* usual;
    ~Restore() { c10::SetAllocator(c10::kMeta, usual, kPriority); }
  } const restore{usual};
  c10::SetAllocator(c10::kMeta, &counter(), kPriority);
  counter().restart(goes_back);
  const std::int64_t before = counter().live();
  work();
  return counter().peak() - before;
}

}  // namespace hebm::nets
