#include "data/half.h"
#include <bit>
#include <cstddef>
#include "base/error.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hebm::data {
namespace {

float widen(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t body = static_cast<std::uint32_t>(half & 0x7fffu) << 13;
  std::uint32_t bits;
  if (body >= 0x0f800000u) {
    bits = body + 0x70000000u;                    // infinity and NaN: exponent 31 -> 255
    if (body > 0x0f800000u) bits |= 0x00400000u;  // a NaN becomes quiet, as the processor makes it
  } else if (body >= 0x00800000u) {
    bits = body + 0x38000000u;  // normal: exponent bias 15 -> 127
  } else {
    // Subnormal: m * 2^-24 as (2^-14 + m * 2^-24) - 2^-14, so that no operand is a float32
    // subnormal.
    const float shifted = std::bit_cast<float>(body + 0x38800000u) - std::bit_cast<float>(0x38800000u);
    bits = std::bit_cast<std::uint32_t>(shifted);
  }
  return std::bit_cast<float>(bits | sign);
}

std::uint16_t narrow(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);  // NaN stays NaN
  } else if (magnitude >= 0x47800000u) {
    half = 0x7c00u;  // 2^16 and above
  } else if (magnitude >= 0x38800000u) {
    // Rebias, then round to nearest even; a carry out of the mantissa goes rightly into the
    // exponent, 65520 to infinity.
    half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  } else {
    // Below 2^-14: adding 0.5 leaves m in the low bits of the mantissa, rounded to nearest even by
    // the addition.
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  }
  return static_cast<std::uint16_t>(half | sign);
}

void check_sizes(std::size_t in, std::size_t out) {
  check(in == out, ExitCode::kRuntime, "float16 conversion: expected {} elements of space, got {}", in, out);
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) void from_half_f16c(const std::uint16_t* in, float* out, std::size_t count) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  for (; i < count; ++i) out[i] = widen(in[i]);
}

__attribute__((target("avx,f16c"))) void to_half_f16c(const float* in, std::uint16_t* out, std::size_t count) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < count; ++i) out[i] = narrow(in[i]);
}
#endif

}  // namespace

void from_half_portable(std::span<const std::uint16_t> in, std::span<float> out) {
  check_sizes(in.size(), out.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = widen(in[i]);
}

void to_half_portable(std::span<const float> in, std::span<std::uint16_t> out) {
  check_sizes(in.size(), out.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = narrow(in[i]);
}

void from_half(std::span<const std::uint16_t> in, std::span<float> out) {
  check_sizes(in.size(), out.size());
#if defined(__x86_64__)
  if (__builtin_cpu_supports("f16c")) return from_half_f16c(in.data(), out.data(), in.size());
#endif
  from_half_portable(in, out);
}

void to_half(std::span<const float> in, std::span<std::uint16_t> out) {
  check_sizes(in.size(), out.size());
#if defined(__x86_64__)
  if (__builtin_cpu_supports("f16c")) return to_half_f16c(in.data(), out.data(), in.size());
#endif
  to_half_portable(in, out);
}

}  // namespace hebm::data
