// What is refused, and that the host's own operators are left alone.
#include "nets/precision.h"
#include <ATen/Context.h>
#include "nets/gemm_choice.h"
#include "support.h"

namespace hebm::nets {
namespace {

TEST(Precision, WhatADeviceCannotDoIsRefused) {
  const at::Device cpu = at::kCPU, gpu(at::kCUDA, 0);
  for (const auto& choice : choices_of(Precision{})) require_precision(choice.value, gpu);
  require_precision(Precision::kFloat32, cpu);
  test::expect_error(ExitCode::kUsage, {"chain_precision = tf32", "float32 or bfloat16"},
      [&] { require_precision(Precision::kTf32, cpu); });
  if (this_processor().has_bfloat16) {
    require_precision(Precision::kBfloat16, cpu);
  } else {
    test::expect_error(ExitCode::kUsage, {"chain_precision = bfloat16", "AVX512_BF16"},
        [&] { require_precision(Precision::kBfloat16, cpu); });
  }
}

TEST(Precision, OfAGpuWhileItLivesAlone) {
  const at::Device gpu(at::kCUDA, 0);
  const auto tf32 = [] { return at::globalContext().allowTF32CuBLAS(); };
  at::globalContext().setAllowTF32CuBLAS(false);
  {
    const GpuPrecision lower(Precision::kTf32, gpu);
    EXPECT_TRUE(tf32());
  }
  EXPECT_FALSE(tf32());
  const GpuPrecision host(Precision::kTf32, at::kCPU), full(Precision::kFloat32, gpu);
  EXPECT_FALSE(tf32());
}

}  // namespace
}  // namespace hebm::nets
