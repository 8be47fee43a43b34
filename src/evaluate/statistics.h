// Mean and covariance of feature vectors as streaming sums in float64, so that a set of features
// need not be kept.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string_view>

namespace hebm::evaluate {

// Errors of this folder are Error(kRuntime) unless said; they depend on the data of this rank: wrap
// them in comm::agree.

// Throws unless features is a float32 or float64 tensor [n, F], n >= min_rows, F >= 1, without NaN
// and Inf. `what` names it.
void check_features(const at::Tensor& features, std::int64_t min_rows, std::string_view what);

struct Moments {
  at::Tensor mean;        // float64 [F], host
  at::Tensor covariance;  // float64 [F, F], host, symmetric, unbiased (n - 1)
  std::int64_t count = 0;
};

class FeatureSums {
 public:
  explicit FeatureSums(std::int64_t dim);

  // features float32 or float64 [n, F] on any device; n may be 0. NaN, Inf or another F is an
  // error, nothing is added.
  void add(const at::Tensor& features);
  std::int64_t count() const { return count_; }
  Moments moments() const;  // count >= 2
 private:
  std::int64_t count_ = 0;
  at::Tensor sum_, second_;  // float64 [F], [F, F]: of x and of x x^T
};

}  // namespace hebm::evaluate
