#include "base/random_kernels.h"
#include "base/random_stream.h"

// Contraction would give machines with FMA other bits; O3 vectorises.
#pragma GCC optimize("O3", "fp-contract=off", "no-trapping-math")

namespace hebm::detail {
namespace {

#define HEBM_INLINE __attribute__((always_inline)) inline

HEBM_INLINE void normals(float* __restrict out, std::size_t num_counters, const PhiloxStream& stream) {
  const std::uint32_t c0 = stream.counter[0], c1 = stream.counter[1], c2 = stream.counter[2], c3 = stream.counter[3];
  const std::uint32_t k0 = stream.key[0], k1 = stream.key[1];
  const std::uint32_t count = static_cast<std::uint32_t>(num_counters);
  for (std::uint32_t i = 0; i < count; ++i) {
    const FourFloats n = normals_of(philox({c0 + i, c1, c2, c3}, k0, k1));
    float* element = out + 4 * static_cast<std::size_t>(i);
    element[0] = n.e0;
    element[1] = n.e1;
    element[2] = n.e2;
    element[3] = n.e3;
  }
}

HEBM_INLINE void uniforms(float* __restrict out, std::size_t num_counters, const PhiloxStream& stream) {
  const std::uint32_t c0 = stream.counter[0], c1 = stream.counter[1], c2 = stream.counter[2], c3 = stream.counter[3];
  const std::uint32_t k0 = stream.key[0], k1 = stream.key[1];
  const std::uint32_t count = static_cast<std::uint32_t>(num_counters);
  for (std::uint32_t i = 0; i < count; ++i) {
    const PhiloxWords w = philox({c0 + i, c1, c2, c3}, k0, k1);
    float* element = out + 4 * static_cast<std::size_t>(i);
    element[0] = uniform_of(w.w0);
    element[1] = uniform_of(w.w1);
    element[2] = uniform_of(w.w2);
    element[3] = uniform_of(w.w3);
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
