// Feature sets with known truths for the tests of the scores.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_qr.h>
#include <cstdint>
#include <tuple>
#include "base/random.h"

namespace hebm::evaluate::testing {

inline at::Tensor standard_normal(std::int64_t n, std::int64_t dim, std::uint32_t item) {
  at::Tensor x = at::empty({n, dim}, at::TensorOptions().dtype(at::kFloat));
  RandomCounter counter;
  counter.item = item;
  fill_normal({x.data_ptr<float>(), static_cast<std::size_t>(x.numel())}, RandomKey{7, 0, Purpose::kTest}, counter);
  return x;
}

inline at::Tensor rotation(std::int64_t dim, std::uint32_t item) {
  return std::get<0>(at::linalg_qr(standard_normal(dim, dim, item).to(at::kDouble)));
}

}  // namespace hebm::evaluate::testing
