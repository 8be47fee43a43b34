// Vectors of the instruction set that a source is compiled for (kernels_*.cpp), by GCC's vector
// extensions, and SiLU on them. Nothing of the standard library may be called here: an inline
// function compiled for AVX-512 could be the copy that the linker keeps for everyone.
#pragma once
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace hebm::nets::detail {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

using Vec = float __attribute__((vector_size(4 * kLanes)));
using Words = std::uint32_t __attribute__((vector_size(4 * kLanes)));
using Unaligned = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
inline void store(float* p, Vec x) { *reinterpret_cast<Unaligned*>(p) = x; }

// The last vector of a pixel may hold fewer channels than lanes; kWhole: it never does.
template <bool kWhole> inline Vec load(const float* p, std::int64_t lanes) {
  if (kWhole || lanes >= kLanes) return load(p);
  Vec out = {};
  for (std::int64_t i = 0; i < lanes; ++i) out[i] = p[i];
  return out;
}
template <bool kWhole> inline void store(float* p, Vec x, std::int64_t lanes) {
  if (kWhole || lanes >= kLanes) return store(p, x);
  for (std::int64_t i = 0; i < lanes; ++i) p[i] = x[i];
}

// min(max(x, -limit), limit) that keeps NaN, in the instructions that GCC does not find by itself
// (with AVX-512 it blends by mask).
inline Vec clamp(Vec x, float limit) {
  const Vec high = Vec{} + limit, low = Vec{} - limit;
#if defined(__AVX2__) && !defined(__AVX512F__)
  return _mm256_max_ps(low, _mm256_min_ps(high, x));
#elif defined(__SSE2__) && !defined(__AVX2__)
  return _mm_max_ps(low, _mm_min_ps(high, x));
#else
  const Vec below = high < x ? high : x;
  return low > below ? low : below;
#endif
}

// e^-x to 8e-8 of it, for x clamped to +-87: behind that SiLU's sigmoid is 1 to rounding, or below
// 2e-38. e^-x = 2^n e^r, |r| <= ln 2 / 2, with a minimax polynomial in r. NaN stays NaN.
inline Vec exp_minus(Vec x) {
  constexpr float kLimit = 87.0f;
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which then is in the low bits
  const Vec y = clamp(x, kLimit);
  const Vec shifted = y * -1.44269504f + kMagic;
  const Vec n = shifted - kMagic;
  const Vec r = n * -0.693147182f - y;
  Vec p = r * 0.00829761941f + 0.0419156291f;
  p = p * r + 0.166675761f;
  p = p * r + 0.499988914f;
  p = p * r + 0.999999702f;
  p = p * r + 1.00000012f;
  const Words power = (reinterpret_cast<Words>(shifted) << 23) + (127u << 23);  // the constant's bits are shifted out
  return p * reinterpret_cast<Vec>(power);
}

inline Vec sigmoid(Vec x) { return 1.0f / (exp_minus(x) + 1.0f); }

struct Silu {
  Vec value, slope;
};

// x s and its derivative s (1 + x (1 - s)), s = sigmoid(x), to 3e-7 of max(1, |x|).
inline Silu silu(Vec x) {
  const Vec s = sigmoid(x);
  const Vec value = x * s;
  return {value, value * (1.0f - s) + s};
}

}  // namespace
}  // namespace hebm::nets::detail
