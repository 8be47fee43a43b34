// Matrix products on plain memory: row-major on the host, a row any number of values from the next,
// sums in float32. By a library that libtorch brings (nets/gemm_choice.h), without the cost of an
// operator's call; in a thread of parallel_for on that thread alone.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>
#include <cstdint>
#include <vector>

namespace hebm::nets {

// stride: values from row to row of what is stored; turned: that is the transpose.
template <class T> struct MatrixOf {
  const T* data;
  std::int64_t stride;
  bool turned = false;
};
using Matrix = MatrixOf<float>;
using Bf16Matrix = MatrixOf<at::BFloat16>;
struct MatrixOut {
  float* data;
  std::int64_t stride;
  bool add = false;  // to what is there
};
struct GemmSize {
  std::int64_t rows, columns, inner;
};

// out [rows, columns] = a [rows, inner] b [inner, columns]
void multiply(const Matrix& a, const Matrix& b, const MatrixOut& out, const GemmSize& size);
void multiply(const Bf16Matrix& a, const Bf16Matrix& b, const MatrixOut& out, const GemmSize& size);

// x rounded to bfloat16, in scratch, which grows where it must.
const at::BFloat16* rounded_to(std::vector<at::BFloat16>& scratch, const float* x, std::int64_t count);

// Rows [rows, inner], side by side, that several constant matrices multiply: as they are, or
// rounded to bfloat16 once, for matrices of that type.
class Rows {
 public:
  // x and scratch must outlive this object.
  Rows(const float* x, std::int64_t rows, std::int64_t inner) : x_(x), rows_(rows), inner_(inner) {}
  Rows(const float* x, std::int64_t rows, std::int64_t inner, at::ScalarType type, std::vector<at::BFloat16>& scratch);
  // out [rows, N] (+)= x matrix; matrix [inner, N] contiguous, or turned [N, inner]
  void times(const at::Tensor& matrix, float* out, bool add, bool turned = false) const;
 private:
  const float* x_;
  const at::BFloat16* rounded_ = nullptr;
  std::int64_t rows_, inner_;
};

}  // namespace hebm::nets
