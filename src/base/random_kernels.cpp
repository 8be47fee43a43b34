#include "base/random_kernels.h"

// Contraction would give machines with FMA other bits; O3 vectorises.
#pragma GCC optimize("O3", "fp-contract=off", "no-trapping-math")

namespace hebm::detail {
namespace {

template <Law law> HEBM_HOST_DEVICE void fill(float* __restrict out, std::size_t num_counters, const PhiloxStream& s) {
  const PhiloxWords c = s.counter;
  const std::uint32_t k0 = s.key[0], k1 = s.key[1], count = static_cast<std::uint32_t>(num_counters);
  for (std::uint32_t i = 0; i < count; ++i) {
    const PhiloxWords words = philox({c.w0 + i, c.w1, c.w2, c.w3}, k0, k1);
    const FourFloats four = law == Law::kNormal ? normals_of(words) : uniforms_of(words);
    float* element = out + 4 * static_cast<std::size_t>(i);
    element[0] = four.e0;
    element[1] = four.e1;
    element[2] = four.e2;
    element[3] = four.e3;
  }
}

template <Law law> void fill_baseline(float* out, std::size_t n, const PhiloxStream& s) { fill<law>(out, n, s); }

#if defined(__x86_64__)
#define HEBM_AVX2 __attribute__((target("avx2")))
#define HEBM_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
template <Law law> HEBM_AVX2 void fill_avx2(float* out, std::size_t n, const PhiloxStream& s) { fill<law>(out, n, s); }
template <Law law> HEBM_AVX512 void fill_avx512(float* out, std::size_t n, const PhiloxStream& s) {
  fill<law>(out, n, s);
}
#endif

template <Law law> void fill_on(Isa isa, float* out, std::size_t num_counters, const PhiloxStream& stream) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return fill_avx512<law>(out, num_counters, stream);
  if (isa == Isa::kAvx2) return fill_avx2<law>(out, num_counters, stream);
#endif
  static_cast<void>(isa);
  fill_baseline<law>(out, num_counters, stream);
}

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

void philox_fill(Law law, Isa isa, float* out, std::size_t num_counters, const PhiloxStream& stream) {
  law == Law::kNormal ? fill_on<Law::kNormal>(isa, out, num_counters, stream)
                      : fill_on<Law::kUniform>(isa, out, num_counters, stream);
}

}  // namespace hebm::detail
