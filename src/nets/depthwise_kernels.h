// Depthwise 5x5 convolution of one image, channels last, stride 1, padding 2, float32, on one
// thread: the vector loops under depthwise.h. One body (depthwise_body.h) compiled for several
// instruction sets; all but the plain one round a multiply-add once, and they add in the same
// order, so AVX2 and AVX-512 agree to the bit and both differ from the plain one by rounding.
#pragma once
#include <cstdint>

namespace hebm::nets::detail {

inline constexpr std::int64_t kTaps = 25;          // of 5 x 5
inline constexpr std::int64_t kTapLanes = 16;      // packed weights come in blocks of so many channels
inline constexpr std::int64_t kChannelBlock = 32;  // channels of one call

enum class DepthwiseMode {
  kSilu,      // out = SiLU(conv(SiLU(in + in_bias)) + bias), and the slopes SiLU' at both places
  kBackward,  // out = in_slope * conv(in * out_slope): kSilu's gradient to its input, with the taps turned by 180
              // degrees
};

// Pointers to one image [H, W, stride] at channel 0. `out` may be `in` only in kBackward; in_slope
// may be `in` in kSilu and `out` in kBackward: an element is read before its place is written.
struct DepthwiseImage {
  std::int64_t height, width, channels, stride;  // stride: floats from pixel to pixel
  const float* taps;                             // [ceil(C/16)][25][16], zero behind channel C
  const float* bias;                             // [16 ceil(C/16)] or null
  const float* in_bias;                          // kSilu: [16 ceil(C/16)] or null
  const float* in;
  float* out;
  float* in_slope;   // kSilu: written; kBackward: read
  float* out_slope;  // likewise
  float* scratch;    // scratch_floats(width), aligned to 64 bytes
};

// Five rows of one channel block with two zero columns on each side.
constexpr std::int64_t scratch_floats(std::int64_t width) { return 5 * (width + 4) * kChannelBlock; }

// Channels [first, min(first + kChannelBlock, channels)); first is a multiple of kChannelBlock.
using DepthwiseKernel = void (*)(DepthwiseMode mode, const DepthwiseImage& image, std::int64_t first);

// Null where this build has none.
DepthwiseKernel depthwise_plain_kernel();
DepthwiseKernel depthwise_avx2_kernel();
DepthwiseKernel depthwise_avx512_kernel();

}  // namespace hebm::nets::detail
