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
    multiply({left.const_data_ptr<float>(), transposed ? m : k + 3, transposed}, right, to, {m, n, k});
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

// bfloat16 values, whose products float32 holds exactly: the sums' rounding alone is left.
TEST(Gemm, MultipliesBfloat16) {
  constexpr std::int64_t m = 9, n = 33, k = 70;
  const at::Tensor a = random_tensor({m, k}, 1, at::kBFloat16), b = random_tensor({k, n}, 2, at::kBFloat16);
  const at::Tensor truth = at::matmul(a.to(at::kDouble), b.to(at::kDouble)), turned = b.t().contiguous();
  for (const bool is_turned : {false, true}) {
    at::Tensor out = at::ones({m, n}, at::kFloat);
    const at::Tensor& right = is_turned ? turned : b;
    multiply(Bf16Matrix{a.const_data_ptr<at::BFloat16>(), k},
        {right.const_data_ptr<at::BFloat16>(), right.size(1), is_turned}, {out.mutable_data_ptr<float>(), n, true},
        {m, n, k});
    EXPECT_LT(largest_difference(out, truth + 1.0), 6e-8 * k * 4) << is_turned;
  }
}

TEST(Gemm, RowsTimesConstants) {
  constexpr std::int64_t m = 9, n = 33, k = 70;
  const at::Tensor x = random_tensor({m, k}, 1, at::kFloat), w = random_tensor({k, n}, 2, at::kFloat);
  std::vector<at::BFloat16> scratch;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Rows rows(x.const_data_ptr<float>(), m, k, type, scratch);
    const auto of_type = [&](const at::Tensor& t) { return t.to(type).to(at::kDouble); };
    const at::Tensor truth = at::matmul(of_type(x), of_type(w));
    for (const bool turned : {false, true}) {
      at::Tensor out = at::ones({m, n}, at::kFloat);
      rows.times((turned ? w.t().contiguous() : w).to(type), out.mutable_data_ptr<float>(), true, turned);
      EXPECT_LT(largest_difference(out, truth + 1.0), 6e-8 * k * 4) << type << turned;
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
    multiply({left.const_data_ptr<float>(), transposed ? m : k, transposed}, right, to, {m, n, k});
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
  multiply(Matrix{&x, 1}, {&x, 3}, {out.mutable_data_ptr<float>(), 3}, {2, 3, 0});
  EXPECT_EQ(out.abs().max().item<float>(), 0.0f);
}

}  // namespace
}  // namespace hebm::nets
