#include "nets/precision.h"
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include "base/error.h"
#include "nets/gemm_choice.h"

namespace hebm::nets {
namespace {

void allow_tf32(bool on) {
  at::globalContext().setAllowTF32CuBLAS(on);
  at::globalContext().setAllowTF32CuDNN(on);
}

}  // namespace

void require_precision(Precision precision, at::Device device) {
  if (!device.is_cpu()) return;
  check(precision != Precision::kTf32, ExitCode::kUsage,
      "compute.chain_precision = tf32 is for GPUs, and this rank computes on the CPU; take float32 or bfloat16");
  check(precision != Precision::kBfloat16 || this_processor().has_bfloat16, ExitCode::kUsage,
      "compute.chain_precision = bfloat16: this processor has no instructions for it (AVX512_BF16); take float32");
}

GpuPrecision::GpuPrecision(Precision precision, at::Device device)
    : tf32_(precision == Precision::kTf32 && device.is_cuda()),
      autocast_(precision == Precision::kBfloat16 && device.is_cuda()) {
  if (tf32_) allow_tf32(true);
  if (!autocast_) return;
  at::autocast::set_autocast_dtype(at::kCUDA, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCUDA, true);
  at::autocast::set_autocast_cache_enabled(false);  // a recorded graph must not point to what is freed
}

GpuPrecision::~GpuPrecision() {
  if (tf32_) allow_tf32(false);
  if (!autocast_) return;
  at::autocast::set_autocast_enabled(at::kCUDA, false);
  at::autocast::set_autocast_cache_enabled(true);
  at::autocast::clear_cache();
}

}  // namespace hebm::nets
