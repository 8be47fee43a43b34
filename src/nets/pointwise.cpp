#include "nets/pointwise.h"
#include "base/error.h"

namespace hebm::nets {
namespace {

detail::PointwiseKernels kernels_of(Isa isa) {
  check(isa_supported(isa), ExitCode::kRuntime, "pointwise: this processor or build lacks the instruction set");
  if (isa == Isa::kAvx512) return detail::pointwise_avx512_kernels();
  return isa == Isa::kAvx2 ? detail::pointwise_avx2_kernels() : detail::pointwise_plain_kernels();
}

}  // namespace

void silu_rows(const SiluRows& rows, Isa isa) { kernels_of(isa).silu(rows); }

void normal_rows(const NormalRows& rows, Isa isa) { kernels_of(isa).normal(rows); }

void multiply_by(float* x, const float* y, std::int64_t count, Isa isa) { kernels_of(isa).multiply(x, y, count); }

void add_to(float* x, const float* y, std::int64_t count, Isa isa) { kernels_of(isa).add(x, y, count); }

void to_bfloat16(const float* x, at::BFloat16* y, std::int64_t count, Isa isa) {
  static_assert(sizeof(at::BFloat16) == sizeof(std::uint16_t));
  kernels_of(isa).round(x, reinterpret_cast<std::uint16_t*>(y), count);
}

void to_channels_last(const float* from, float* to, std::int64_t images, std::int64_t channels, std::int64_t pixels) {
  for (std::int64_t b = 0; b < images; ++b, from += channels * pixels, to += channels * pixels) {
    for (std::int64_t p = 0; p < pixels; ++p) {
      for (std::int64_t c = 0; c < channels; ++c) to[p * channels + c] = from[c * pixels + p];
    }
  }
}

}  // namespace hebm::nets
