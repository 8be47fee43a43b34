#include "nets/gemm.h"
#include <ATen/ops/conv2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include "nets/gemm_choice.h"
#include "nets/pointwise.h"

template <class T> using Blas = void(const char* op_a, const char* op_b, const int* m, const int* n, const int* k,
    const float* alpha, const T* a, const int* lda, const T* b, const int* ldb, const float* beta, float* c,
    const int* ldc);
// Column-major. Weak: a libtorch that does not export them is used by its operators.
extern "C" {
// NOLINTBEGIN(readability-identifier-naming): their own names
Blas<float> sgemm_ __attribute__((weak));
Blas<at::BFloat16> gemm_bf16bf16f32_ __attribute__((weak));
// NOLINTEND(readability-identifier-naming)
}

namespace hebm::nets {
namespace {

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

template <class T> at::Tensor tensor_of(const MatrixOf<T>& m, std::int64_t rows, std::int64_t columns) {
  if (m.turned) return tensor_of<T>({m.data, m.stride}, columns, rows).t();
  return at::from_blob(const_cast<T*>(m.data), {rows, columns}, {m.stride, 1}, c10::CppTypeToScalarType<T>::value)
      .to(at::kFloat);
}

template <class T>
void by_operators(const MatrixOf<T>& a, const MatrixOf<T>& b, const MatrixOut& out, const GemmSize& size) {
  const c10::NoGradGuard no_grad;
  const at::Tensor left = tensor_of(a, size.rows, size.inner), right = tensor_of(b, size.inner, size.columns);
  const at::Tensor result = at::from_blob(out.data, {size.rows, size.columns}, {out.stride, 1}, at::kFloat);
  const at::Tensor product = is_for_onednn(size) ? by_convolution(left, right) : at::mm(left, right);
  out.add ? result.add_(product) : result.copy_(product);
}

// out^T = b^T a^T: what is row-major to us is column-major to BLAS.
template <class T>
void run(Blas<T>* blas, const MatrixOf<T>& a, const MatrixOf<T>& b, const MatrixOut& out, const GemmSize& size) {
  if (size.rows == 0 || size.columns == 0) return;
  if (blas == nullptr || is_for_onednn(size)) return by_operators(a, b, out, size);
  const int m = static_cast<int>(size.columns), n = static_cast<int>(size.rows), k = static_cast<int>(size.inner);
  const int lda = static_cast<int>(b.stride), ldb = static_cast<int>(a.stride), ldc = static_cast<int>(out.stride);
  const float one = 1.0f, keep = out.add ? 1.0f : 0.0f;
  blas(b.turned ? "T" : "N", a.turned ? "T" : "N", &m, &n, &k, &one, b.data, &lda, a.data, &ldb, &keep, out.data, &ldc);
}

}  // namespace

void multiply(const Matrix& a, const Matrix& b, const MatrixOut& out, const GemmSize& size) {
  run<float>(sgemm_, a, b, out, size);
}
void multiply(const Bf16Matrix& a, const Bf16Matrix& b, const MatrixOut& out, const GemmSize& size) {
  run<at::BFloat16>(gemm_bf16bf16f32_, a, b, out, size);
}

const at::BFloat16* rounded_to(std::vector<at::BFloat16>& scratch, const float* x, std::int64_t count) {
  scratch.resize(std::max(scratch.size(), static_cast<std::size_t>(count)));
  to_bfloat16(x, scratch.data(), count);
  return scratch.data();
}

Rows::Rows(
    const float* x, std::int64_t rows, std::int64_t inner, at::ScalarType type, std::vector<at::BFloat16>& scratch)
    : Rows(x, rows, inner) {
  if (type != at::kFloat) rounded_ = rounded_to(scratch, x, rows * inner);
}

void Rows::times(const at::Tensor& matrix, float* out, bool add, bool turned) const {
  const std::int64_t columns = matrix.size(turned ? 0 : 1);
  const MatrixOut to{out, columns, add};
  const GemmSize size{rows_, columns, inner_};
  if (rounded_ == nullptr) {
    multiply(Matrix{x_, inner_}, {matrix.const_data_ptr<float>(), matrix.size(1), turned}, to, size);
  } else {
    multiply(Bf16Matrix{rounded_, inner_}, {matrix.const_data_ptr<at::BFloat16>(), matrix.size(1), turned}, to, size);
  }
}

}  // namespace hebm::nets
