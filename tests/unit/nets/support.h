// What the tests of nets/, vae/, train/ and encode/ share: tensors by values.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cstdint>
#include <vector>
#include "../support.h"
#include "base/random.h"

namespace hebm::test {

inline std::vector<double> values_of(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

// [n] float64.
inline at::Tensor numbers(const std::vector<double>& values) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<double>());
  return out;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return a.numel() == 0 ? 0.0 : (a.detach().to(at::kDouble) - b.detach().to(at::kDouble)).abs().max().item<double>();
}

// |got - want| / |want|, in the Euclidean norm.
inline double norm_error(const at::Tensor& got, const at::Tensor& want) {
  const at::Tensor truth = want.detach().to(at::kDouble);
  return ((got.detach().to(at::kDouble) - truth).norm() / truth.norm()).item<double>();
}

// U(-1, 1), another stream for every item.
inline at::Tensor random_tensor(
    std::vector<std::int64_t> shape, std::uint32_t item, at::ScalarType dtype = at::kDouble) {
  at::Tensor out = at::empty(shape, at::kFloat);
  fill_uniform(
      {out.mutable_data_ptr<float>(), static_cast<std::size_t>(out.numel())}, {7, 0, Purpose::kTest}, {.item = item});
  return out.mul_(2.0).sub_(1.0).to(dtype);
}

}  // namespace hebm::test
