#include "nets/planned_memory.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/where.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <stdexcept>
#include "support.h"

namespace hebm::nets {
namespace {

const auto kMetaFloat = at::TensorOptions(at::kFloat).device(at::kMeta);

TEST(PlannedPeak, IsWhatIsHeldAtOnce) {
  const at::Tensor before = at::empty({1 << 20}, kMetaFloat);  // made outside: not counted
  const std::int64_t peak = planned_peak([&] {
    at::Tensor a = before.narrow(0, 0, 1000) + 1.0;     // 4000 bytes
    at::Tensor b = a * 2.0;                             // 8000
    a.reset();                                          // 4000
    const at::Tensor c = at::empty({500}, kMetaFloat);  // 6000
  });
  EXPECT_EQ(peak, 8000);
  EXPECT_EQ(planned_peak([&] { const at::Tensor view = before.view({1024, 1024}).t(); }), 0);
}

// Below 32 MiB what was held at most stays with the process; larger blocks go back to the system.
TEST(PlannedPeak, SmallBlocksStayAndLargeOnesGo) {
  constexpr std::int64_t kMiB = 1 << 20;
  const auto hold = [](std::int64_t bytes) { const at::Tensor held = at::empty({bytes / 4}, kMetaFloat); };
  const auto twice = [&](std::int64_t first) {
    return planned_peak([&] {
      hold(first);
      hold(40 * kMiB);
    });
  };
  EXPECT_EQ(twice(31 * kMiB), 71 * kMiB);
  EXPECT_EQ(twice(33 * kMiB), 40 * kMiB);
}

// The graph keeps the two inputs of a product; the backward pass lets go of what it has used.
TEST(PlannedPeak, CountsWhatTheGraphKeeps) {
  at::Tensor x = at::empty({1000}, kMetaFloat).requires_grad_(true);
  x.mutable_grad() = at::empty_like(x);
  const std::int64_t kept = planned_peak([&] {
    at::Tensor y = x;
    for (int i = 0; i < 10; ++i) y = at::silu(y);
    torch::autograd::backward({y.sum()}, {});
  });
  EXPECT_GE(kept, 10 * 4000);       // ten values, all but the last kept
  EXPECT_LE(kept, 13 * 4000 + 64);  // and the gradients of one step
}

TEST(PlannedPeak, AllocatorIsTheUsualOneAfterAnError) {
  EXPECT_THROW(planned_peak([] { throw std::runtime_error("stops"); }), std::runtime_error);
  EXPECT_EQ(planned_peak([] { at::empty({10}, kMetaFloat); }), 40);
}

// Shapes of a function's value and of its gradients, with data and without.
void expect_same_shapes(const std::vector<at::Tensor>& inputs, const auto& function) {
  const auto run = [&](at::Device device) {
    std::vector<at::Tensor> leaves;
    for (const at::Tensor& input : inputs) leaves.push_back(input.to(device).detach().requires_grad_(true));
    const at::Tensor value = function(leaves);
    torch::autograd::backward({value.sum()}, {});
    std::vector<std::vector<std::int64_t>> out = {value.sizes().vec()};
    for (const at::Tensor& leaf : leaves) out.push_back(leaf.grad().sizes().vec());
    return out;
  };
  const auto expected = run(at::kCPU);
  planned_peak([&] { EXPECT_EQ(run(at::kMeta), expected); });
}

TEST(PlannedPeak, OperatorsHaveTheShapesOfThoseWithData) {
  const at::Tensor x = test::random_tensor({2, 4, 9, 7}, 1), bias = test::random_tensor({6}, 2);
  expect_same_shapes({x, test::random_tensor({6, 4, 3, 3}, 3), bias}, [](const auto& in) {
    return at::conv2d(in[0], in[1], in[2], {2, 2}, {1, 1});
  });
  expect_same_shapes({x, test::random_tensor({4, 1, 5, 5}, 3)}, [](const auto& in) {
    return at::conv2d(in[0], in[1], {}, {1, 1}, {2, 2}, {1, 1}, 4);
  });
  expect_same_shapes({x, test::random_tensor({4, 6, 4, 4}, 3), bias}, [](const auto& in) {
    return at::conv_transpose2d(in[0], in[1], in[2], {2, 2}, {1, 1});
  });
  expect_same_shapes({x, test::random_tensor({4, 1, 1}, 4)},
      [](const auto& in) { return at::where(in[0] > 0.0, at::log_sigmoid(in[1]), at::relu(in[0]).abs()); });
}

}  // namespace
}  // namespace hebm::nets
