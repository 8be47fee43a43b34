// Whose kernels multiply matrices on the CPU, for the whole process. Bits depend on it, so it is a
// rule by processor, found by measurement (`bench gemm`, docs/performance.md), not a timing at each
// start. MKL as it comes runs its AVX2 kernels on AMD processors with AVX-512.
#pragma once
#include <array>
#include <cstdint>
#include "base/choice.h"

namespace hebm::nets {

// kMkl: MKL as it comes. kOneDnn: large products by oneDNN, small ones by the rule. kMklAvx512:
// MKL's AVX-512 kernels on any processor that has the instructions.
enum class Gemm { kAuto, kMkl, kOneDnn, kMklAvx512 };
constexpr std::array<Choice<Gemm>, 4> choices_of(Gemm) {
  return {{{"auto", Gemm::kAuto}, {"mkl", Gemm::kMkl}, {"onednn", Gemm::kOneDnn}, {"mkl_avx512", Gemm::kMklAvx512}}};
}

struct Processor {
  bool is_intel = false, is_amd = false, has_avx512 = false, has_bfloat16 = false;
};
Processor this_processor();

// What `auto` stands for.
constexpr Gemm gemm_rule(const Processor& processor) {
  return processor.is_amd && processor.has_avx512 ? Gemm::kMklAvx512 : Gemm::kMkl;
}
constexpr bool gemm_possible(Gemm choice, const Processor& processor) {
  return choice != Gemm::kMklAvx512 || processor.has_avx512;
}

// Before the first product of the process: MKL looks once. Error(kUsage): not possible on this
// processor. Error(kRuntime): too late, and it would change something.
void set_gemm(Gemm choice);
Gemm gemm();  // never kAuto; before set_gemm the rule
// MKL has looked. Never, where this libtorch's MKL does not ask us: then mkl_avx512 is mkl.
bool gemm_is_fixed();

}  // namespace hebm::nets
