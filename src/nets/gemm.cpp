#include "nets/gemm.h"
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>
#include "nets/gemm_choice.h"

// BLAS, column-major. Weak: a libtorch that does not export it is used by its operators.
extern "C" {
using Sgemm = void(const char* op_a, const char* op_b, const int* m, const int* n, const int* k, const float* alpha,
    const float* a, const int* lda, const float* b, const int* ldb, const float* beta, float* c, const int* ldc);
Sgemm sgemm_ __attribute__((weak));  // NOLINT(readability-identifier-naming): its own name
}

namespace hebm::nets {
namespace {

at::Tensor tensor_of(const float* data, std::int64_t stride, std::int64_t rows, std::int64_t columns) {
  return at::from_blob(const_cast<float*>(data), {rows, columns}, {stride, 1}, at::TensorOptions(at::kFloat));
}

// Multiply-adds of a product for oneDNN: an operator's call and the reordering of the weights cost
// more in smaller ones.
constexpr std::int64_t kLarge = std::int64_t{1} << 22;
bool is_for_onednn(const GemmSize& size) {
  return gemm() == Gemm::kOneDnn && size.rows * size.columns * size.inner >= kLarge;
}

// oneDNN has no product among libtorch's operators for memory as it is, but a convolution 1 x 1 of
// pixels, channels last, is one.
at::Tensor by_convolution(const at::Tensor& left, const at::Tensor& right) {
  const std::int64_t rows = left.size(0), inner = left.size(1), columns = right.size(1);
  const at::Tensor pixels = left.contiguous().view({1, rows, 1, inner}).permute({0, 3, 1, 2});
  const at::Tensor out = at::conv2d(pixels, right.t().contiguous().view({columns, inner, 1, 1}));
  return out.permute({0, 2, 3, 1}).reshape({rows, columns});
}

void by_operators(bool transposed, const Matrix& a, const Matrix& b, const MatrixOut& out, const GemmSize& size) {
  const c10::NoGradGuard no_grad;
  const at::Tensor left = transposed ? tensor_of(a.data, a.stride, size.inner, size.rows).t()
                                     : tensor_of(a.data, a.stride, size.rows, size.inner);
  const at::Tensor right = tensor_of(b.data, b.stride, size.inner, size.columns);
  at::Tensor result = tensor_of(out.data, out.stride, size.rows, size.columns);
  if (is_for_onednn(size)) {
    const at::Tensor product = by_convolution(left, right);
    out.add ? result.add_(product) : result.copy_(product);
    return;
  }
  out.add ? result.addmm_(left, right) : result.copy_(at::mm(left, right));
}

// out^T = b^T a^T: what is row-major to us is column-major to BLAS.
void run(bool transposed, const Matrix& a, const Matrix& b, const MatrixOut& out, const GemmSize& size) {
  if (size.rows == 0 || size.columns == 0) return;
  if (sgemm_ == nullptr || is_for_onednn(size)) return by_operators(transposed, a, b, out, size);
  const int m = static_cast<int>(size.columns), n = static_cast<int>(size.rows), k = static_cast<int>(size.inner);
  const int lda = static_cast<int>(b.stride), ldb = static_cast<int>(a.stride), ldc = static_cast<int>(out.stride);
  const float one = 1.0f, keep = out.add ? 1.0f : 0.0f;
  sgemm_("N", transposed ? "T" : "N", &m, &n, &k, &one, b.data, &lda, a.data, &ldb, &keep, out.data, &ldc);
}

}  // namespace

void multiply(const Matrix& a, const Matrix& b, const MatrixOut& out, const GemmSize& size) {
  run(false, a, b, out, size);
}

void multiply_left_transposed(const Matrix& a, const Matrix& b, const MatrixOut& out, const GemmSize& size) {
  run(true, a, b, out, size);
}

}  // namespace hebm::nets
