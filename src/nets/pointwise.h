// What stands between the matrix products of a latent's nets, in one pass over memory: SiLU with
// its slope, a reparametrised normal draw with its own. float32 on the host, on the calling thread.
#pragma once
#include <c10/util/BFloat16.h>
#include "nets/isa.h"
#include "nets/pointwise_kernels.h"

namespace hebm::nets {

void silu_rows(const SiluRows& rows, Isa isa = best_isa());
void normal_rows(const NormalRows& rows, Isa isa = best_isa());
// x[i] *= y[i], x[i] += y[i]
void multiply_by(float* x, const float* y, std::int64_t count, Isa isa = best_isa());
void add_to(float* x, const float* y, std::int64_t count, Isa isa = best_isa());
// To the nearest, ties to even; NaN stays NaN.
void to_bfloat16(const float* x, at::BFloat16* y, std::int64_t count, Isa isa = best_isa());
// [images, channels, pixels] -> [images, pixels, channels], and back.
void to_channels_last(const float* from, float* to, std::int64_t images, std::int64_t channels, std::int64_t pixels);
inline void from_channels_last(
    const float* from, float* to, std::int64_t images, std::int64_t channels, std::int64_t pixels) {
  to_channels_last(from, to, images, pixels, channels);
}

}  // namespace hebm::nets
