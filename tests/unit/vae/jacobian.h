// Jacobians by autograd and their determinants, for what the transport and the flows promise of
// volumes.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_slogdet.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>
#include "../nets/support.h"

namespace hebm::test {

// rows[e][f] = d out_e / d in_f, elements as they lie in memory; out is a function of in, float64.
inline std::vector<std::vector<double>> jacobian(const at::Tensor& out, const at::Tensor& in) {
  std::vector<std::vector<double>> rows;
  for (std::int64_t e = 0; e < out.numel(); ++e) {
    rows.push_back(values_of(torch::autograd::grad({out.flatten().select(0, e)}, {in}, {}, true)[0]));
  }
  return rows;
}

// log |det a| of a square matrix by rows.
inline double log_abs_determinant(const std::vector<std::vector<double>>& a) {
  const auto n = static_cast<std::int64_t>(a.size());
  at::Tensor matrix = at::empty({n, n}, at::kDouble);
  double* to = matrix.mutable_data_ptr<double>();
  for (const auto& row : a) to = std::copy(row.begin(), row.end(), to);
  return std::get<1>(at::linalg_slogdet(matrix)).item<double>();
}

}  // namespace hebm::test
