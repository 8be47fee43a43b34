#include "base/random_kernels.h"

// Contraction would give machines with FMA other bits; O3 vectorises.
#pragma GCC optimize("O3", "fp-contract=off", "no-trapping-math")

namespace hebm::detail {
namespace {

#define HEBM_INLINE __attribute__((always_inline)) inline

struct Counters {
  std::uint32_t w0, w1, w2, w3;
};

HEBM_INLINE std::uint32_t high(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(a) * b) >> 32);
}

// Philox4x32-10 (Salmon et al. 2011) written for vectorisation; a test holds it to Random123's known answers.
HEBM_INLINE Counters philox(Counters c, std::uint32_t k0, std::uint32_t k1) {
  constexpr std::uint32_t kM0 = 0xD2511F53u, kM1 = 0xCD9E8D57u, kW0 = 0x9E3779B9u, kW1 = 0xBB67AE85u;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    c = {high(kM1, c.w2) ^ c.w1 ^ k0, kM1 * c.w2, high(kM0, c.w0) ^ c.w3 ^ k1, kM0 * c.w0};
    k0 += kW0;
    k1 += kW1;
  }
  return c;
}

// x >= 0, x = 0 or x in [1e-8, 100]. Newton steps on 1 / sqrt from the usual bit estimate: a call of sqrt that may set
// errno would keep the loop from vectorising.
HEBM_INLINE float square_root(float x) {
  const float half = 0.5f * x;
  float y = __builtin_bit_cast(float, 0x5F3759DF - (__builtin_bit_cast(std::int32_t, x) >> 1));
  y *= 1.5f - half * y * y;
  y *= 1.5f - half * y * y;
  y *= 1.5f - half * y * y;
  return x * y;
}

// sqrt(-2 ln u) of u = (floor(word / 2) + 1/2) / 2^31, rounded to float: u in [2^-32, 1], so the result is finite.
HEBM_INLINE float radius(std::uint32_t word) {
  const float scaled = static_cast<float>(static_cast<std::int32_t>(word >> 1)) + 0.5f;  // u * 2^31
  // scaled = 2^exponent * m, m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh(s), s = (m - 1) / (m + 1), |s| <= 0.172.
  const std::int32_t shifted = __builtin_bit_cast(std::int32_t, scaled) - 0x3F3504F3;
  const float exponent = static_cast<float>(31 - (shifted >> 23));
  const float m = __builtin_bit_cast(float, (shifted & 0x007FFFFF) + 0x3F3504F3);
  const float s = (m - 1.0f) / (m + 1.0f);
  const float z = s * s;
  // Chebyshev fit of 2 (2 artanh(s) - 2 s) / s^3 in z, relative error of ln m below 1e-9 before rounding.
  const float p = 1.3333337f + z * (0.79977561f + z * 0.59159899f);
  return square_root(exponent * 1.38629436f - (s * 4.0f + s * z * p));
}

struct SinCos {
  float sin, cos;
};

// Of 2 pi word / 2^32: the nearest quarter turn by bits, then Chebyshev fits on [-pi/4, pi/4].
HEBM_INLINE SinCos sincos_turn(std::uint32_t word) {
  const std::uint32_t quarter = (word + 0x20000000u) >> 30;
  const float a = static_cast<float>(static_cast<std::int32_t>(word << 2)) * 3.6572952e-10f;  // pi / 2 / 2^32
  const float z = a * a;
  const float s = a + a * z * (-0.16666665f + z * (0.0083327483f + z * -0.00019587891f));
  const float c = 1.0f - 0.5f * z + z * z * (0.041666665f + z * (-0.0013888303f + z * 2.4547942e-05f));
  const std::uint32_t swap = 0u - (quarter & 1u);
  const std::uint32_t bits_s = __builtin_bit_cast(std::uint32_t, s), bits_c = __builtin_bit_cast(std::uint32_t, c);
  const std::uint32_t difference = (bits_s ^ bits_c) & swap;
  const std::uint32_t sign_s = (quarter & 2u) << 30, sign_c = ((quarter + 1u) & 2u) << 30;
  return {__builtin_bit_cast(float, bits_s ^ difference ^ sign_s), __builtin_bit_cast(float, bits_c ^ difference ^ sign_c)};
}

HEBM_INLINE void normals(float* __restrict out, std::size_t num_counters, const PhiloxStream& stream) {
  const std::uint32_t c0 = stream.counter[0], c1 = stream.counter[1], c2 = stream.counter[2], c3 = stream.counter[3];
  const std::uint32_t k0 = stream.key[0], k1 = stream.key[1];
  const std::uint32_t count = static_cast<std::uint32_t>(num_counters);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Counters w = philox({c0 + i, c1, c2, c3}, k0, k1);
    const float r0 = radius(w.w0), r1 = radius(w.w2);
    const SinCos a0 = sincos_turn(w.w1), a1 = sincos_turn(w.w3);
    float* element = out + 4 * static_cast<std::size_t>(i);
    element[0] = r0 * a0.cos;
    element[1] = r0 * a0.sin;
    element[2] = r1 * a1.cos;
    element[3] = r1 * a1.sin;
  }
}

HEBM_INLINE void uniforms(float* __restrict out, std::size_t num_counters, const PhiloxStream& stream) {
  const std::uint32_t c0 = stream.counter[0], c1 = stream.counter[1], c2 = stream.counter[2], c3 = stream.counter[3];
  const std::uint32_t k0 = stream.key[0], k1 = stream.key[1];
  const std::uint32_t count = static_cast<std::uint32_t>(num_counters);
  constexpr float kScale = 1.0f / 16777216.0f;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Counters w = philox({c0 + i, c1, c2, c3}, k0, k1);
    float* element = out + 4 * static_cast<std::size_t>(i);
    element[0] = static_cast<float>(static_cast<std::int32_t>(w.w0 >> 8)) * kScale;
    element[1] = static_cast<float>(static_cast<std::int32_t>(w.w1 >> 8)) * kScale;
    element[2] = static_cast<float>(static_cast<std::int32_t>(w.w2 >> 8)) * kScale;
    element[3] = static_cast<float>(static_cast<std::int32_t>(w.w3 >> 8)) * kScale;
  }
}

void normals_baseline(float* out, std::size_t n, const PhiloxStream& s) { normals(out, n, s); }
void uniforms_baseline(float* out, std::size_t n, const PhiloxStream& s) { uniforms(out, n, s); }

#if defined(__x86_64__)
#define HEBM_AVX2 __attribute__((target("avx2")))
#define HEBM_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
HEBM_AVX2 void normals_avx2(float* out, std::size_t n, const PhiloxStream& s) { normals(out, n, s); }
HEBM_AVX2 void uniforms_avx2(float* out, std::size_t n, const PhiloxStream& s) { uniforms(out, n, s); }
HEBM_AVX512 void normals_avx512(float* out, std::size_t n, const PhiloxStream& s) { normals(out, n, s); }
HEBM_AVX512 void uniforms_avx512(float* out, std::size_t n, const PhiloxStream& s) { uniforms(out, n, s); }
#endif

}  // namespace

bool isa_supported(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return __builtin_cpu_supports("avx2") != 0;
  if (isa == Isa::kAvx512) {
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  }
#endif
  return isa == Isa::kBaseline;
}

Isa best_isa() {
  if (isa_supported(Isa::kAvx512)) return Isa::kAvx512;
  return isa_supported(Isa::kAvx2) ? Isa::kAvx2 : Isa::kBaseline;
}

void philox_normals(Isa isa, float* out, std::size_t num_counters, const PhiloxStream& stream) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return normals_avx512(out, num_counters, stream);
  if (isa == Isa::kAvx2) return normals_avx2(out, num_counters, stream);
#endif
  static_cast<void>(isa);
  normals_baseline(out, num_counters, stream);
}

void philox_uniforms(Isa isa, float* out, std::size_t num_counters, const PhiloxStream& stream) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return uniforms_avx512(out, num_counters, stream);
  if (isa == Isa::kAvx2) return uniforms_avx2(out, num_counters, stream);
#endif
  static_cast<void>(isa);
  uniforms_baseline(out, num_counters, stream);
}

}  // namespace hebm::detail
