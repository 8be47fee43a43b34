#include "nets/batch_norm.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <barrier>
#include <limits>
#include <thread>
#include <vector>
#include "support.h"

namespace hebm::nets {
namespace {

at::Tensor normals(at::IntArrayRef shape, std::uint32_t item, at::ScalarType dtype) {
  const at::Tensor out = at::empty(shape, at::kFloat);
  fill_normal({out.data_ptr<float>(), static_cast<std::size_t>(out.numel())}, {1, 0, Purpose::kTest}, {.item = item});
  return out.to(dtype);
}

struct Case {
  at::Tensor x, weight, gamma, beta, running_mean, running_var;
  BatchNormTensors norm() const { return {gamma, beta, running_mean, running_var}; }
};

// Channels of different mean and spread; `weight` is the loss's dy.
Case make_case(std::int64_t rows, std::int64_t channels, std::int64_t side, at::ScalarType dtype) {
  Case c;
  const at::Tensor spread = normals({1, channels, 1, 1}, 1, dtype).exp(),
                   mean = 2.0 * normals({1, channels, 1, 1}, 2, dtype);
  c.x = (normals({rows, channels, side, side}, 3, dtype) * spread + mean).requires_grad_(true);
  c.weight = normals({rows, channels, side, side}, 4, dtype);
  c.gamma = (1.0 + 0.3 * normals({channels}, 5, dtype)).requires_grad_(true);
  c.beta = (0.3 * normals({channels}, 6, dtype)).requires_grad_(true);
  c.running_mean = normals({channels}, 7, dtype);
  c.running_var = normals({channels}, 8, dtype).square();
  return c;
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return ((x - y).abs().max() / y.abs().max()).item<double>();
}

struct Result {
  at::Tensor y, dx, dgamma, dbeta, running_mean, running_var;
};

template <class Net> Result run(const Case& c, const at::Tensor& x, const Net& net) {
  Result out;
  out.running_mean = c.running_mean.clone();
  out.running_var = c.running_var.clone();
  out.y = net(x, out.running_mean, out.running_var);
  torch::autograd::backward({(out.y * c.weight).sum()}, {});
  out.dx = c.x.grad().clone();
  out.dgamma = c.gamma.grad().clone();
  out.dbeta = c.beta.grad().clone();
  for (const auto& t : {c.x, c.gamma, c.beta}) t.mutable_grad() = at::Tensor();
  return out;
}

void expect_close(const Result& a, const Result& b, double tolerance) {
  EXPECT_LT(difference(a.y, b.y), tolerance);
  EXPECT_LT(difference(a.dx, b.dx), tolerance);
  EXPECT_LT(difference(a.dgamma, b.dgamma), tolerance);
  EXPECT_LT(difference(a.dbeta, b.dbeta), tolerance);
  EXPECT_LT(difference(a.running_mean, b.running_mean), tolerance);
  EXPECT_LT(difference(a.running_var, b.running_var), tolerance);
}

// Against ATen's own batch norm in float64: value, all gradients, running statistics (unbiased
// variance).
TEST(BatchNorm, TrainModeEqualsAten) {
  const NormMode mode{.training = true, .momentum = 0.05, .sum = {}};
  for (const bool silu : {false, true}) {
    for (const std::int64_t channels : {3, 16, 70}) {
      const Case wide = make_case(5, channels, 6, at::kDouble);
      const auto aten = [&](const at::Tensor& x, const at::Tensor& mean, const at::Tensor& var) {
        const at::Tensor y = at::batch_norm(x, wide.gamma, wide.beta, mean, var, true, 0.05, 1e-5, false);
        return silu ? at::silu(y) : y;
      };
      const Result expected = run(wide, wide.x, aten);
      const auto own = [&](const Case& c) {
        return [&c, &mode, silu](const at::Tensor& x, const at::Tensor& mean, const at::Tensor& var) {
          return batch_norm(x, {c.gamma, c.beta, mean, var}, mode, silu);
        };
      };
      expect_close(run(wide, wide.x, own(wide)), expected, 1e-12);
      const Case narrow = make_case(5, channels, 6, at::kFloat);  // the loops of batch_norm_kernels.h
      // Rounding of float32 in x alone is 6e-8 of |x| <= 20 spreads; dx is a difference of terms a
      // few times as large.
      expect_close(run(narrow, narrow.x, own(narrow)), expected, 1e-5);
      const at::Tensor last = narrow.x.contiguous(at::MemoryFormat::ChannelsLast);
      const Result same = run(narrow, last, own(narrow));
      EXPECT_TRUE(same.y.is_contiguous(at::MemoryFormat::ChannelsLast));
      expect_close(same, expected, 1e-5);
    }
  }
}

TEST(BatchNorm, EvaluationUsesTheRunningStatistics) {
  const Case c = make_case(2, 4, 3, at::kDouble);
  const at::Tensor mean = c.running_mean.clone(), y = batch_norm(c.x, c.norm(), {}, true);
  const at::Tensor v = (c.x - c.running_mean.view({1, -1, 1, 1})) / (c.running_var + 1e-5).sqrt().view({1, -1, 1, 1});
  EXPECT_LT(difference(y, at::silu(v * c.gamma.view({1, -1, 1, 1}) + c.beta.view({1, -1, 1, 1}))), 1e-13);
  EXPECT_TRUE(c.running_mean.equal(mean));
}

// Two and three "ranks" (threads with a common sum) with unequal parts of a batch: the whole
// batch's values and gradients.
TEST(BatchNorm, PartsOfABatchMakeTheWhole) {
  for (const auto& counts : std::vector<std::vector<std::int64_t>>{{2, 5}, {1, 4, 2}}) {
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
      const Case whole = make_case(7, 8, 4, dtype);
      const NormMode alone{.training = true, .momentum = 0.05, .sum = {}};
      const Result expected =
          run(whole, whole.x, [&](const at::Tensor& x, const at::Tensor& mean, const at::Tensor& var) {
            return batch_norm(x, {whole.gamma, whole.beta, mean, var}, alone, true);
          });
      const std::size_t ranks = counts.size();
      std::vector<std::vector<double>> posted(ranks);
      std::barrier meeting(static_cast<std::ptrdiff_t>(ranks));
      std::vector<Result> results(ranks);
      std::vector<std::thread> threads;
      std::int64_t first = 0;
      for (std::size_t r = 0; r < ranks; ++r) {
        const std::int64_t start = first, count = counts[r];
        first += count;
        threads.emplace_back([&, r, start, count] {
          Case part = make_case(7, 8, 4, dtype);
          part.x = part.x.detach().narrow(0, start, count).clone().requires_grad_(true);
          part.weight = part.weight.narrow(0, start, count);
          const NormMode mode{.training = true, .momentum = 0.05, .sum = [&, r](std::span<double> values) {
                                posted[r].assign(values.begin(), values.end());
                                meeting.arrive_and_wait();
                                for (std::size_t i = 0; i < values.size(); ++i) {
                                  values[i] = 0;
                                  for (const auto& one : posted) values[i] += one.at(i);
                                }
                                meeting.arrive_and_wait();
                              }};
          results[r] = run(part, part.x, [&](const at::Tensor& x, const at::Tensor& mean, const at::Tensor& var) {
            return batch_norm(x, {part.gamma, part.beta, mean, var}, mode, true);
          });
        });
      }
      for (auto& thread : threads) thread.join();
      Result joined = results[0];
      for (std::size_t r = 1; r < ranks; ++r) {
        joined.y = at::cat({joined.y, results[r].y});
        joined.dx = at::cat({joined.dx, results[r].dx});
        joined.dgamma = joined.dgamma + results[r].dgamma;
        joined.dbeta = joined.dbeta + results[r].dbeta;
        EXPECT_TRUE(results[r].running_mean.equal(results[0].running_mean));
        EXPECT_TRUE(results[r].running_var.equal(results[0].running_var));
      }
      expect_close(joined, expected, dtype == at::kDouble ? 1e-13 : 1e-6);
    }
  }
}

TEST(BatchNorm, RefusesOneValueAndKeepsNan) {
  const NormMode mode{.training = true, .momentum = 0.05, .sum = {}};
  const Case one = make_case(1, 3, 1, at::kFloat);
  test::expect_error(
      ExitCode::kRuntime, {"batch norm", "larger batch"}, [&] { batch_norm(one.x, one.norm(), mode, false); });
  const Case c = make_case(2, 3, 4, at::kFloat);
  c.x.detach()[0][1][2][3].fill_(std::numeric_limits<float>::quiet_NaN());
  for (const bool silu : {false, true}) {
    const at::Tensor nan = batch_norm(c.x, c.norm(), mode, silu).isnan();
    EXPECT_TRUE(nan.select(1, 1).all().item<bool>());
    EXPECT_FALSE(nan.select(1, 0).any().item<bool>());
  }
}

}  // namespace
}  // namespace hebm::nets
