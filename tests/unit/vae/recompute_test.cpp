#include "vae/recompute.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include "../nets/support.h"
#include "../support.h"

namespace hebm::vae {
namespace {

using test::random_tensor;
using Tensors = std::vector<at::Tensor>;

// Two outputs and the input itself, of two inputs and a weight that is not among them.
struct Piece {
  at::Tensor weight = random_tensor({5, 5}, 1).to(at::kFloat).requires_grad_(true);
  int runs = 0;
  Tensors operator()(const Tensors& in) {
    ++runs;
    const at::Tensor h = at::silu(in[0].matmul(weight)) + in[1];
    return {h * in[0], at::tanh(h), in[0]};
  }
};

struct Gradients {
  Tensors all;
  int runs = 0;
};

// x is read by the piece, by its second run's place in the order, and behind it again.
Gradients gradients(bool recompute, bool uses_second) {
  Piece piece;
  const at::Tensor x = random_tensor({3, 5}, 2).to(at::kFloat).requires_grad_(true);
  const at::Tensor y = random_tensor({3, 5}, 3).to(at::kFloat).requires_grad_(true);
  const at::Tensor scaled = x * 1.7, constant = y.detach();
  const Tensors in = {scaled, uses_second ? y : constant};
  const Tensors out = recompute ? recomputed([&](const Tensors& of) { return piece(of); }, in) : piece(in);
  at::Tensor loss = (out[0] * out[2] * 3.1).sum();
  if (uses_second) loss = loss + out[1].square().sum();
  torch::autograd::backward({loss}, {});
  return {{x.grad(), y.grad(), piece.weight.grad(), loss.detach()}, piece.runs};
}

TEST(Recomputed, GradientsHaveTheSameBits) {
  for (const bool uses_second : {true, false}) {
    const Gradients kept = gradients(false, uses_second), again = gradients(true, uses_second);
    EXPECT_EQ(kept.runs, 1);
    EXPECT_EQ(again.runs, 2);
    for (std::size_t i = 0; i < kept.all.size(); ++i) {
      ASSERT_EQ(kept.all[i].defined(), again.all[i].defined()) << i;
      if (kept.all[i].defined()) {
        EXPECT_TRUE(kept.all[i].equal(again.all[i])) << i;
      }
    }
    EXPECT_EQ(kept.all[1].defined(), uses_second);
  }
}

TEST(Recomputed, RunsOnceWhereNothingWantsAGradient) {
  Piece piece;
  const Tensors out = recomputed([&](const Tensors& in) { return piece(in); },
      {random_tensor({3, 5}, 2).to(at::kFloat), random_tensor({3, 5}, 3).to(at::kFloat)});
  EXPECT_TRUE(out[0].requires_grad());  // of the weight, by the usual graph
  EXPECT_EQ(piece.runs, 1);
}

TEST(Recomputed, RefusesASecondBackward) {
  Piece piece;
  const at::Tensor x = random_tensor({3, 5}, 2).to(at::kFloat).requires_grad_(true);
  const Tensors out = recomputed([&](const Tensors& in) { return piece(in); }, {x, x.detach()});
  const at::Tensor loss = out[0].sum();
  torch::autograd::backward({loss}, {}, /*retain_graph=*/true);
  EXPECT_THROW(torch::autograd::backward({loss}, {}), std::exception);
}

}  // namespace
}  // namespace hebm::vae
