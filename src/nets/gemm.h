// Matrix products on plain memory: row-major float32 on the host, a row any number of floats from
// the next. By the library that libtorch brings (sgemm), without the cost of an operator's call; in
// a thread of parallel_for on that thread alone.
#pragma once
#include <cstdint>

namespace hebm::nets {

struct Matrix {
  const float* data;
  std::int64_t stride;  // floats from row to row
};
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
// out [rows, columns] = a^T b, a [inner, rows]
void multiply_left_transposed(const Matrix& a, const Matrix& b, const MatrixOut& out, const GemmSize& size);

}  // namespace hebm::nets
