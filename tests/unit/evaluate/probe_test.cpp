// A probe finds a label that is there, and none that is not.
#include "evaluate/probe.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <gtest/gtest.h>
#include <cmath>
#include "../nets/support.h"

namespace hebm::evaluate {
namespace {

using test::random_tensor;

// The class is 2 [x_0 > 0] + [x_1 x_2 > 0]: the second bit is no linear function.
LabelledRows rows(std::int64_t count, std::uint32_t item) {
  const at::Tensor x = random_tensor({count, 5}, item, at::kFloat);
  const at::Tensor first = x.select(1, 0).gt(0), second = (x.select(1, 1) * x.select(1, 2)).gt(0);
  return {x, first.to(at::kLong) * 2 + second.to(at::kLong)};
}

TEST(Probe, FindsWhatIsThere) { EXPECT_GT(probe_accuracy(rows(4000, 1), rows(1000, 2), 4, 1), 0.9); }

TEST(Probe, FindsNothingInNoise) {
  const LabelledRows train = rows(4000, 1), test = rows(1000, 2);
  const double accuracy = probe_accuracy({random_tensor({4000, 5}, 3, at::kFloat), train.labels},
      {random_tensor({1000, 5}, 4, at::kFloat), test.labels}, 4, 1);
  EXPECT_NEAR(accuracy, 0.25, 5 * std::sqrt(0.25 * 0.75 / 1000));
}

TEST(Probe, SameBitsOnAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const double one = probe_accuracy(rows(500, 1), rows(333, 2), 4, 7);
  at::set_num_threads(2);
  EXPECT_EQ(probe_accuracy(rows(500, 1), rows(333, 2), 4, 7), one);
  EXPECT_EQ(at::get_num_threads(), 2);
  at::set_num_threads(threads);
  EXPECT_NE(probe_accuracy(rows(500, 1), rows(333, 2), 4, 8), one);
}

}  // namespace
}  // namespace hebm::evaluate
