// Mean and covariance of feature vectors as streaming sums, so that no set of features is ever
// gathered: each rank adds its own, one sum over ranks of buffer() gives the whole. All sums are
// float64 and relative to a fixed reference vector near the mean, so that covariance does not
// cancel; adding in another order changes results by rounding only (< 1e-12 relative).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

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
  // reference [F]: subtracted from every feature vector before summing; must be the same on all
  // ranks (for example the mean of the reference set's first chunk). Any value is right, one near
  // the mean is accurate.
  explicit FeatureSums(std::vector<double> reference);
  static FeatureSums with_zero_reference(std::int64_t dim);

  // features float32 or float64 [n, F] on any device; n may be 0. NaN, Inf or another F is an
  // error, nothing is added.
  void add(const at::Tensor& features);
  // The same dim and reference, bit for bit, or an error.
  void merge(const FeatureSums& other);

  // All numbers in one array, to be summed over ranks in place: [count, sum (F), second moment (F *
  // F, row-major)].
  std::span<double> buffer() { return buffer_; }
  std::span<const double> buffer() const { return buffer_; }

  std::int64_t dim() const { return static_cast<std::int64_t>(reference_.size()); }
  std::int64_t count() const { return static_cast<std::int64_t>(buffer_[0]); }
  Moments moments() const;  // count >= 2

 private:
  std::vector<double> reference_;  // [F]
  std::vector<double> buffer_;     // [1 + F + F * F]
};

}  // namespace hebm::evaluate
