// The vector loops under pointwise.h, on one thread: one body (pointwise_body.h) compiled for
// several instruction sets.
#pragma once
#include <cstdint>

namespace hebm::nets {

// Rows of so many channels, side by side; bias [channels] or null.
struct SiluRows {
  std::int64_t rows, channels;
  const float *in, *bias;
  float *out, *slope;  // SiLU(in + bias) and its derivative; either may be `in`
};

// z = mu + sigma u with log sigma = bound tanh(raw / bound), n channels.
struct NormalRows {
  std::int64_t rows, channels;
  float bound;
  const float *head, *bias;  // [rows, 2 n], [2 n]: mu and raw, before the bias
  const float* u;            // [rows, n]
  float *z, *sigma, *slope;  // [rows, n]; slope: dz / draw
};

namespace detail {

struct PointwiseKernels {  // null where this build has none
  void (*silu)(const SiluRows& rows) = nullptr;
  void (*normal)(const NormalRows& rows) = nullptr;
  void (*multiply)(float* x, const float* y, std::int64_t count) = nullptr;       // x[i] *= y[i]
  void (*add)(float* x, const float* y, std::int64_t count) = nullptr;            // x[i] += y[i]
  void (*round)(const float* x, std::uint16_t* y, std::int64_t count) = nullptr;  // to bfloat16's bits
};
PointwiseKernels pointwise_plain_kernels();
PointwiseKernels pointwise_avx2_kernels();
PointwiseKernels pointwise_avx512_kernels();

}  // namespace detail
}  // namespace hebm::nets
