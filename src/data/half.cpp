#include "data/half.h"
#include <bit>
#include <cstddef>
#include "base/error.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hebm::data {
namespace {

// Without F16C the compiler's library converts, by integer arithmetic.
float widen(std::uint16_t half) { return static_cast<float>(std::bit_cast<_Float16>(half)); }
std::uint16_t narrow(float value) { return std::bit_cast<std::uint16_t>(static_cast<_Float16>(value)); }

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
