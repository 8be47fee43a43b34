// The loops of depthwise_kernels.h: included by one source an instruction set.
#pragma once
#include "nets/depthwise_kernels.h"
#include "nets/vector_body.h"

namespace hebm::nets::detail {
namespace {

// What the convolution sees of one pixel; kSilu writes the slope on the way.
template <DepthwiseMode kMode, bool kWhole>
inline Vec prepare(const DepthwiseImage& a, std::int64_t offset, std::int64_t channel, std::int64_t lanes) {
  const Vec x = load<kWhole>(a.in + offset, lanes);
  if constexpr (kMode == DepthwiseMode::kBackward) {
    return x * load<kWhole>(a.out_slope + offset, lanes);
  } else {
    const Silu y = silu(a.in_bias == nullptr ? x : x + load(a.in_bias + channel));
    store<kWhole>(a.in_slope + offset, y.slope, lanes);
    return y.value;
  }
}

template <DepthwiseMode kMode, bool kWhole>
inline void finish(const DepthwiseImage& a, Vec sum, std::int64_t offset, std::int64_t lanes) {
  if constexpr (kMode == DepthwiseMode::kSilu) {
    const Silu y = silu(sum);
    store<kWhole>(a.out_slope + offset, y.slope, lanes);
    sum = y.value;
  }
  if constexpr (kMode == DepthwiseMode::kBackward) sum = sum * load<kWhole>(a.in_slope + offset, lanes);
  store<kWhole>(a.out + offset, sum, lanes);
}

// Asks for what the next row needs of a pixel: the hardware does not foresee the steps from pixel
// to pixel.
template <DepthwiseMode kMode> inline void prefetch_row(const DepthwiseImage& a, std::int64_t offset) {
  for (std::int64_t c = 0; c < kChannelBlock; c += 16) {
    __builtin_prefetch(a.in + offset + c);
    if constexpr (kMode == DepthwiseMode::kSilu) {
      __builtin_prefetch(a.out_slope + offset + c, 1);
      __builtin_prefetch(a.out + offset + c, 1);
    } else {
      __builtin_prefetch(a.out_slope + offset + c);
      __builtin_prefetch(a.in_slope + offset + c);
    }
  }
}

// Place of one vector: the five rows of scratch around the output row (at this vector's channels),
// of which [k0, k1) are in the image.
struct Place {
  const float* rows[5];
  std::int64_t k0, k1;
  std::int64_t y, channel, lanes;
};

// kColumns outputs of one row from column x on: each input is loaded once a row, for five outputs.
template <DepthwiseMode kMode, bool kWhole, int kColumns>
inline void tile(const DepthwiseImage& a, const Place& at, std::int64_t x) {
  Vec sums[kColumns];
  const Vec bias = a.bias == nullptr ? Vec{} : load(a.bias + at.channel);
#pragma GCC unroll 16
  for (int i = 0; i < kColumns; ++i) sums[i] = bias;
  const float* taps = a.taps + (at.channel / kTapLanes) * kTaps * kTapLanes + at.channel % kTapLanes;
  for (std::int64_t ky = at.k0; ky < at.k1; ++ky) {
    const float* row = at.rows[ky] + x * kChannelBlock;  // two columns to the left: of column x - 2
    const float* weights = taps + ky * 5 * kTapLanes;
    const Vec w[5] = {load(weights), load(weights + kTapLanes), load(weights + 2 * kTapLanes),
        load(weights + 3 * kTapLanes), load(weights + 4 * kTapLanes)};
#pragma GCC unroll 16
    for (int column = 0; column < kColumns + 4; ++column) {
      const Vec in = load(row + column * kChannelBlock);
#pragma GCC unroll 5
      for (int kx = 0; kx < 5; ++kx) {
        const int i = column - kx;
        if (i >= 0 && i < kColumns) sums[i] += in * w[kx];
      }
    }
  }
  const std::int64_t offset = (at.y * a.width + x) * a.stride + at.channel;
#pragma GCC unroll 16
  for (int i = 0; i < kColumns; ++i) finish<kMode, kWhole>(a, sums[i], offset + i * a.stride, at.lanes);
}

template <DepthwiseMode kMode, bool kWhole> inline void output_row(const DepthwiseImage& a, const Place& at) {
  std::int64_t x = 0;
  for (; x + 8 <= a.width; x += 8) tile<kMode, kWhole, 8>(a, at, x);
  if (x + 4 <= a.width) {
    tile<kMode, kWhole, 4>(a, at, x);
    x += 4;
  }
  for (; x < a.width; ++x) tile<kMode, kWhole, 1>(a, at, x);
}

template <DepthwiseMode kMode, bool kWhole> void convolve(const DepthwiseImage& image, std::int64_t first) {
  const DepthwiseImage a = image;                            // a copy that no store can change stays in registers
  const std::int64_t pitch = (a.width + 4) * kChannelBlock;  // of a row of scratch
  const std::int64_t count = a.channels - first < kChannelBlock ? a.channels - first : kChannelBlock;
  for (std::int64_t slot = 0; slot < 5; ++slot) {
    float* row = a.scratch + slot * pitch;
    for (std::int64_t c = 0; c < 2 * kChannelBlock; ++c) row[c] = row[pitch - 1 - c] = 0.0f;
  }
  std::int64_t num_loaded = 0;
  for (std::int64_t y = 0; y < a.height; ++y) {
    for (; num_loaded < a.height && num_loaded < y + 3; ++num_loaded) {
      float* row = a.scratch + num_loaded % 5 * pitch + 2 * kChannelBlock;
      for (std::int64_t x = 0; x < a.width; ++x) {
        const std::int64_t offset = (num_loaded * a.width + x) * a.stride + first;
        prefetch_row<kMode>(a, offset + a.width * a.stride);
        for (std::int64_t c = 0; c < count; c += kLanes) {
          store(row + x * kChannelBlock + c, prepare<kMode, kWhole>(a, offset + c, first + c, count - c));
        }
      }
    }
    const std::int64_t below = a.height - y + 2;
    if (const std::int64_t row = y + 3 - a.height; row >= 0 && first + kChannelBlock < a.channels) {
      for (std::int64_t x = 0; x < a.width; ++x)
        prefetch_row<kMode>(a, (row * a.width + x) * a.stride + first + kChannelBlock);
    }
    Place at{{}, y < 2 ? 2 - y : 0, below < 5 ? below : 5, y, 0, 0};
    for (std::int64_t c = 0; c < count; c += kLanes) {
      for (std::int64_t ky = at.k0; ky < at.k1; ++ky) at.rows[ky] = a.scratch + (y + ky - 2) % 5 * pitch + c;
      at.channel = first + c;
      at.lanes = count - c;
      output_row<kMode, kWhole>(a, at);
    }
  }
}

template <DepthwiseMode kMode> void convolve(const DepthwiseImage& image, std::int64_t first) {
  const std::int64_t rest = image.channels - first;
  if (rest >= kChannelBlock || rest % kLanes == 0) return convolve<kMode, true>(image, first);
  convolve<kMode, false>(image, first);
}

void depthwise_image(DepthwiseMode mode, const DepthwiseImage& a, std::int64_t first) {
  if (mode == DepthwiseMode::kSilu) return convolve<DepthwiseMode::kSilu>(a, first);
  convolve<DepthwiseMode::kBackward>(a, first);
}

}  // namespace
}  // namespace hebm::nets::detail
