#include "nets/gemm_choice.h"
#include <atomic>
#include "base/error.h"

namespace hebm::nets {
namespace {

std::atomic<Gemm> chosen = Gemm::kAuto;
std::atomic<bool> has_looked = false;  // MKL

// What MKL is told: it has its fastest kernels only for Intel's processors.
bool takes_every_kernel(Gemm choice) {
  const Processor processor = this_processor();
  const Gemm of_mkl = choice == Gemm::kOneDnn ? gemm_rule(processor) : choice;
  return processor.is_intel || of_mkl == Gemm::kMklAvx512;
}

}  // namespace

Processor this_processor() {
#if defined(__x86_64__)
  return {__builtin_cpu_is("intel") != 0, __builtin_cpu_is("amd") != 0, __builtin_cpu_supports("avx512f") != 0,
      __builtin_cpu_supports("avx512bf16") != 0};
#else
  return {};
#endif
}

Gemm gemm() {
  const Gemm choice = chosen;
  return choice == Gemm::kAuto ? gemm_rule(this_processor()) : choice;
}

bool gemm_is_fixed() { return has_looked; }

void set_gemm(Gemm choice) {
  check(gemm_possible(choice, this_processor()), ExitCode::kUsage,
      "compute.gemm = {}: this processor has no AVX-512; take auto or mkl", name_of(choice));
  const Gemm wanted = choice == Gemm::kAuto ? gemm_rule(this_processor()) : choice;
  check(!has_looked || takes_every_kernel(wanted) == takes_every_kernel(gemm()), ExitCode::kRuntime,
      "compute.gemm = {}: matrices were multiplied by {} before", name_of(wanted), name_of(gemm()));
  chosen = wanted;
}

}  // namespace hebm::nets

// libtorch's MKL asks this function of its own, once. The program's stands before the library's.
extern "C" int mkl_serv_intel_cpu_true() {
  hebm::nets::has_looked = true;
  return hebm::nets::takes_every_kernel(hebm::nets::gemm()) ? 1 : 0;
}
