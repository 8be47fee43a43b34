// The loops of pointwise_kernels.h: included by one source an instruction set.
#pragma once
#include "nets/pointwise_kernels.h"
#include "nets/vector_body.h"

namespace hebm::nets::detail {
namespace {

void silu_rows(const SiluRows& rows) {
  const SiluRows a = rows;
  for (std::int64_t r = 0; r < a.rows; ++r) {
    for (std::int64_t c = 0; c < a.channels; c += kLanes) {
      const std::int64_t at = r * a.channels + c, left = a.channels - c;
      const Vec x = load<false>(a.in + at, left);
      const Silu y = silu(a.bias == nullptr ? x : x + load<false>(a.bias + c, left));
      store<false>(a.slope + at, y.slope, left);
      store<false>(a.out + at, y.value, left);
    }
  }
}

void normal_rows(const NormalRows& rows) {
  const NormalRows a = rows;
  const std::int64_t n = a.channels;
  for (std::int64_t r = 0; r < a.rows; ++r) {
    for (std::int64_t c = 0; c < n; c += kLanes) {
      const std::int64_t at = r * n + c, left = n - c;
      const float* head = a.head + 2 * r * n + c;
      const Vec mu = load<false>(head, left) + load<false>(a.bias + c, left);
      const Vec raw = load<false>(head + n, left) + load<false>(a.bias + n + c, left);
      const Vec s = sigmoid(raw * (2.0f / a.bound));  // tanh x = 2 sigmoid(2 x) - 1
      const Vec sigma = exp_minus((1.0f - 2.0f * s) * a.bound);
      const Vec scaled = sigma * load<false>(a.u + at, left);
      store<false>(a.z + at, mu + scaled, left);
      store<false>(a.sigma + at, sigma, left);
      store<false>(a.slope + at, scaled * (4.0f * s * (1.0f - s)), left);
    }
  }
}

void multiply_values(float* x, const float* y, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(x + i, load(x + i) * load(y + i));
  for (; i < count; ++i) x[i] *= y[i];
}

void add_values(float* x, const float* y, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(x + i, load(x + i) + load(y + i));
  for (; i < count; ++i) x[i] += y[i];
}

using Halves = std::uint16_t __attribute__((vector_size(2 * kLanes)));
using UnalignedHalves = std::uint16_t __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

inline Halves rounded(Vec x) {
  const Words bits = reinterpret_cast<Words>(x);
  const Words nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return __builtin_convertvector(x == x ? nearest : Words{} + 0x7fc0u, Halves);
}

void round_values(const float* x, std::uint16_t* y, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) *reinterpret_cast<UnalignedHalves*>(y + i) = rounded(load(x + i));
  for (; i < count; ++i) y[i] = rounded(Vec{} + x[i])[0];
}

constexpr PointwiseKernels kPointwise = {silu_rows, normal_rows, multiply_values, add_values, round_values};

}  // namespace
}  // namespace hebm::nets::detail
