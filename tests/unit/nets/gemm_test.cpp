// Products on plain memory, with rows that are not side by side, against float64.
#include "nets/gemm.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include "nets/gemm_choice.h"
#include "support.h"

namespace hebm::nets {
namespace {

using test::largest_difference;
using test::random_tensor;

TEST(Gemm, MultipliesPartsOfRows) {
  constexpr std::int64_t m = 7, n = 5, k = 40;
  const at::Tensor a = random_tensor({m, k + 3}, 1, at::kFloat), b = random_tensor({k, n + 2}, 2, at::kFloat);
  const at::Tensor before = random_tensor({m, n + 4}, 3, at::kFloat);
  const at::Tensor truth = at::matmul(a.narrow(1, 0, k).to(at::kDouble), b.narrow(1, 0, n).to(at::kDouble));
  const auto run = [&](bool transposed, bool add) {
    at::Tensor out = before.clone();
    const at::Tensor left = transposed ? a.narrow(1, 0, k).t().contiguous() : a;
    const MatrixOut to{out.mutable_data_ptr<float>(), n + 4, add};
    const Matrix right{b.const_data_ptr<float>(), n + 2};
    transposed ? multiply_left_transposed({left.const_data_ptr<float>(), m}, right, to, {m, n, k})
               : multiply({left.const_data_ptr<float>(), k + 3}, right, to, {m, n, k});
    return out;
  };
  for (const bool transposed : {false, true}) {
    for (const bool add : {false, true}) {
      const at::Tensor out = run(transposed, add);
      const at::Tensor want = add ? truth + before.narrow(1, 0, n).to(at::kDouble) : truth;
      EXPECT_LT(largest_difference(out.narrow(1, 0, n), want), 6e-8 * k * 4) << transposed << add;
      EXPECT_EQ(largest_difference(out.narrow(1, n, 4), before.narrow(1, n, 4)), 0.0) << "behind the rows";
    }
  }
}

// Of 2^22 multiply-adds and more by oneDNN, whose sums have another order.
TEST(Gemm, LargeProductsByOneDnn) {
  constexpr std::int64_t m = 300, n = 130, k = 128;
  const at::Tensor a = random_tensor({m, k}, 1, at::kFloat), b = random_tensor({k, n}, 2, at::kFloat);
  const at::Tensor truth = at::matmul(a.to(at::kDouble), b.to(at::kDouble));
  const auto product = [&](bool transposed, bool add) {
    at::Tensor out = at::ones({m, n + 1}, at::kFloat);
    const at::Tensor left = transposed ? a.t().contiguous() : a;
    const MatrixOut to{out.mutable_data_ptr<float>(), n + 1, add};
    const Matrix right{b.const_data_ptr<float>(), n};
    transposed ? multiply_left_transposed({left.const_data_ptr<float>(), m}, right, to, {m, n, k})
               : multiply({left.const_data_ptr<float>(), k}, right, to, {m, n, k});
    return out.narrow(1, 0, n);
  };
  for (const Gemm choice : {Gemm::kOneDnn, Gemm::kAuto}) {
    set_gemm(choice);
    for (const bool transposed : {false, true}) {
      EXPECT_LT(largest_difference(product(transposed, false), truth), 6e-8 * k * 4) << name_of(choice);
      EXPECT_LT(largest_difference(product(transposed, true), truth + 1.0), 6e-8 * k * 4) << name_of(choice);
    }
  }
}

TEST(Gemm, NothingToSumIsZero) {
  at::Tensor out = random_tensor({2, 3}, 1, at::kFloat);
  const float x = 1.0f;
  multiply({&x, 1}, {&x, 3}, {out.mutable_data_ptr<float>(), 3}, {2, 3, 0});
  EXPECT_EQ(out.abs().max().item<float>(), 0.0f);
}

}  // namespace
}  // namespace hebm::nets
