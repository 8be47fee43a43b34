// The arithmetic of one block of four random numbers, under random.h: counter words ->
// Philox4x32-10 -> uniforms or normals. Written once for the host's vector loops
// (random_kernels.cpp) and for GPUs: only integers and +, -, *, / of floats, so wherever no fused
// multiply-add is made of them (-ffp-contract=off, nvcc --fmad=false) all draw the same bits.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define HEBM_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HEBM_HOST_DEVICE __attribute__((always_inline)) inline
#endif

namespace hebm::detail {

struct PhiloxWords {
  std::uint32_t w0, w1, w2, w3;
};

struct FourFloats {
  float e0, e1, e2, e3;
};

// The counter of elements 4 block .. 4 block + 3 of a stream (as RandomCounter; block < 2^24).
HEBM_HOST_DEVICE PhiloxWords counter_words(std::uint32_t block, std::uint32_t item, std::uint32_t visit,
    std::uint32_t t, std::uint32_t k, std::uint32_t layer) {
  return {block | layer << 24, item, visit, t | k << 10};
}

HEBM_HOST_DEVICE std::uint32_t high_word(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(a) * b) >> 32);
}

// Philox4x32-10 (Salmon et al. 2011) for vectorisation; tested on Random123's known answers.
HEBM_HOST_DEVICE PhiloxWords philox(PhiloxWords c, std::uint32_t k0, std::uint32_t k1) {
  constexpr std::uint32_t kM0 = 0xD2511F53u, kM1 = 0xCD9E8D57u, kW0 = 0x9E3779B9u, kW1 = 0xBB67AE85u;
#ifndef __CUDACC__
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; ++round) {
    c = {high_word(kM1, c.w2) ^ c.w1 ^ k0, kM1 * c.w2, high_word(kM0, c.w0) ^ c.w3 ^ k1, kM0 * c.w0};
    k0 += kW0;
    k1 += kW1;
  }
  return c;
}

// x >= 0, x = 0 or x in [1e-8, 100]. Newton steps on 1 / sqrt from the usual bit estimate: a call
// of sqrt that may set errno would keep the loop from vectorising.
HEBM_HOST_DEVICE float square_root(float x) {
  const float half = 0.5f * x;
  float y = __builtin_bit_cast(float, 0x5F3759DF - (__builtin_bit_cast(std::int32_t, x) >> 1));
  y *= 1.5f - half * y * y;
  y *= 1.5f - half * y * y;
  y *= 1.5f - half * y * y;
  return x * y;
}

// sqrt(-2 ln u) of u = (floor(word / 2) + 1/2) / 2^31, rounded to float: finite, u in [2^-32, 1].
HEBM_HOST_DEVICE float radius(std::uint32_t word) {
  const float scaled = static_cast<float>(static_cast<std::int32_t>(word >> 1)) + 0.5f;  // u * 2^31
  // scaled = 2^exponent * m, m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh(s), s = (m - 1) / (m + 1),
  // |s| <= 0.172.
  const std::int32_t shifted = __builtin_bit_cast(std::int32_t, scaled) - 0x3F3504F3;
  const float exponent = static_cast<float>(31 - (shifted >> 23));
  const float m = __builtin_bit_cast(float, (shifted & 0x007FFFFF) + 0x3F3504F3);
  const float s = (m - 1.0f) / (m + 1.0f);
  const float z = s * s;
  // Chebyshev fit of 2 (2 artanh(s) - 2 s) / s^3 in z; unrounded, ln m is right to 1e-9.
  const float p = 1.3333337f + z * (0.79977561f + z * 0.59159899f);
  return square_root(exponent * 1.38629436f - (s * 4.0f + s * z * p));
}

struct SinCos {
  float sin, cos;
};

// Of 2 pi word / 2^32: the nearest quarter turn by bits, then Chebyshev fits on [-pi/4, pi/4].
HEBM_HOST_DEVICE SinCos sincos_turn(std::uint32_t word) {
  const std::uint32_t quarter = (word + 0x20000000u) >> 30;
  const float a = static_cast<float>(static_cast<std::int32_t>(word << 2)) * 3.6572952e-10f;  // pi / 2 / 2^32
  const float z = a * a;
  const float s = a + a * z * (-0.16666665f + z * (0.0083327483f + z * -0.00019587891f));
  const float c = 1.0f - 0.5f * z + z * z * (0.041666665f + z * (-0.0013888303f + z * 2.4547942e-05f));
  const std::uint32_t swap = 0u - (quarter & 1u);
  const std::uint32_t bits_s = __builtin_bit_cast(std::uint32_t, s), bits_c = __builtin_bit_cast(std::uint32_t, c);
  const std::uint32_t difference = (bits_s ^ bits_c) & swap;
  const std::uint32_t sign_s = (quarter & 2u) << 30, sign_c = ((quarter + 1u) & 2u) << 30;
  return {
      __builtin_bit_cast(float, bits_s ^ difference ^ sign_s), __builtin_bit_cast(float, bits_c ^ difference ^ sign_c)};
}

// Box-Muller: words (0, 1) give elements 0, 1; (2, 3) give 2, 3. |normal| <= 6.67, so never NaN.
HEBM_HOST_DEVICE FourFloats normals_of(PhiloxWords w) {
  const float r0 = radius(w.w0), r1 = radius(w.w2);
  const SinCos a0 = sincos_turn(w.w1), a1 = sincos_turn(w.w3);
  return {r0 * a0.cos, r0 * a0.sin, r1 * a1.cos, r1 * a1.sin};
}

// The upper 24 bits of a word: [0, 1).
HEBM_HOST_DEVICE float uniform_of(std::uint32_t word) {
  return static_cast<float>(static_cast<std::int32_t>(word >> 8)) * (1.0f / 16777216.0f);
}
HEBM_HOST_DEVICE FourFloats uniforms_of(PhiloxWords w) {
  return {uniform_of(w.w0), uniform_of(w.w1), uniform_of(w.w2), uniform_of(w.w3)};
}

}  // namespace hebm::detail
