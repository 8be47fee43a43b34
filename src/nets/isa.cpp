#include "nets/isa.h"
#include "nets/depthwise_kernels.h"

namespace hebm::nets {
namespace {

bool cpu_has(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  if (isa == Isa::kAvx512) return __builtin_cpu_supports("avx512f") != 0;
#endif
  return isa == Isa::kPlain;
}

bool is_built(Isa isa) {
  if (isa == Isa::kAvx512) return detail::depthwise_avx512_kernel() != nullptr;
  return isa == Isa::kPlain || detail::depthwise_avx2_kernel() != nullptr;
}

}  // namespace

bool isa_supported(Isa isa) { return cpu_has(isa) && is_built(isa); }

Isa best_isa() {
  static const Isa best = [] {
    if (isa_supported(Isa::kAvx512)) return Isa::kAvx512;
    return isa_supported(Isa::kAvx2) ? Isa::kAvx2 : Isa::kPlain;
  }();
  return best;
}

}  // namespace hebm::nets
