#include "nets/batch_norm_kernels.h"
#include <algorithm>

// Sums may be reordered to vectorise (into float64 lanes); NaN and infinity keep their meaning.
#pragma GCC optimize("O3", "associative-math", "no-signed-zeros", "no-trapping-math", "no-math-errno")

namespace hebm::nets::detail {
namespace {

#define HEBM_INLINE __attribute__((always_inline)) inline

// 1 / (1 + exp(-v)), relative error below 3e-7; NaN stays NaN.
HEBM_INLINE float sigmoid(float v) {
  const float low = v < -87.0f ? -87.0f : v;
  const float x = -(low > 87.0f ? 87.0f : low);
  const float turns = x * 1.44269504f;
  const auto k = static_cast<std::int32_t>(turns + (turns < 0.0f ? -0.5f : 0.5f));
  const auto exponent = static_cast<float>(k);
  const float r = (x - exponent * 0.693359375f) - exponent * -2.12194440e-4f;  // |r| <= ln 2 / 2
  const float p =
      1.0f + r * (1.0f + r * (0.5f + r * (0.16666667f + r * (0.041666638f + r * (0.0083335f + r * 0.0013937f)))));
  return 1.0f / (1.0f + p * __builtin_bit_cast(float, (k + 127) << 23));
}

HEBM_INLINE float slope_of(float v, bool silu) {
  if (!silu) return 1.0f;
  const float s = sigmoid(v);
  return s * (1.0f + v * (1.0f - s));
}

// Channels that lie next to each other, in blocks: their accumulators stay in registers and cache.
constexpr std::int64_t kBlock = 64;

// d of a value x: x itself, or dy act'(a x + b).
template <bool kBackward, bool kSilu>
HEBM_INLINE double term(float value, const float* __restrict dy, std::int64_t at, float a, float b) {
  return kBackward ? dy[at] * slope_of(a * value + b, kSilu) : value;
}

template <bool kBackward, bool kSilu> HEBM_INLINE void sums(const float* __restrict x, const float* __restrict dy,
    const NormShape& n, Part channels, const NormMap& map, double* __restrict sum, double* __restrict moment) {
  const auto [first, last] = channels;
  const float* __restrict scale = map.scale, * __restrict shift = map.shift;
  if (n.inner > 1) {
    for (std::int64_t c = first; c < last; ++c) {
      double s = 0, m = 0;
      const float a = kBackward ? scale[c] : 0.0f, b = kBackward ? shift[c] : 0.0f;
      for (std::int64_t o = 0; o < n.outer; ++o) {
        const std::int64_t plane = (o * n.channels + c) * n.inner;
        for (std::int64_t i = 0; i < n.inner; ++i) {
          const float value = x[plane + i];
          const double d = term<kBackward, kSilu>(value, dy, plane + i, a, b);
          s += d;
          m += d * value;
        }
      }
      sum[c] = s;
      moment[c] = m;
    }
    return;
  }
  for (std::int64_t c0 = first; c0 < last; c0 += kBlock) {
    const std::int64_t count = std::min(kBlock, last - c0);
    double s[kBlock] = {}, m[kBlock] = {};
    for (std::int64_t o = 0; o < n.outer; ++o) {
      const std::int64_t at = o * n.channels + c0;
      for (std::int64_t c = 0; c < count; ++c) {
        const float value = x[at + c];
        const double d = term<kBackward, kSilu>(
            value, dy, at + c, kBackward ? scale[c0 + c] : 0.0f, kBackward ? shift[c0 + c] : 0.0f);
        s[c] += d;
        m[c] += d * value;
      }
    }
    for (std::int64_t c = 0; c < count; ++c) sum[c0 + c] = s[c], moment[c0 + c] = m[c];
  }
}

template <bool kSilu> HEBM_INLINE void apply(
    const float* __restrict x, const NormShape& n, Part outer, const NormMap& map, float* __restrict y) {
  const float* __restrict scale = map.scale, * __restrict shift = map.shift;
  for (std::int64_t o = outer.first; o < outer.last; ++o) {
    const std::int64_t at = o * n.channels * n.inner;
    if (n.inner == 1) {
      for (std::int64_t c = 0; c < n.channels; ++c) {
        const float v = scale[c] * x[at + c] + shift[c];
        y[at + c] = kSilu ? v * sigmoid(v) : v;
      }
      continue;
    }
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const float a = scale[c], b = shift[c];
      const std::int64_t plane = at + c * n.inner;
      for (std::int64_t i = 0; i < n.inner; ++i) {
        const float v = a * x[plane + i] + b;
        y[plane + i] = kSilu ? v * sigmoid(v) : v;
      }
    }
  }
}

template <bool kSilu> HEBM_INLINE void backward_apply(const float* __restrict x, const float* __restrict dy,
    const NormShape& n, Part outer, const NormMap& map, const NormMap& line, float* __restrict dx) {
  const float* __restrict scale = map.scale, * __restrict shift = map.shift;
  const float* __restrict slope = line.scale, * __restrict offset = line.shift;
  for (std::int64_t o = outer.first; o < outer.last; ++o) {
    const std::int64_t at = o * n.channels * n.inner;
    if (n.inner == 1) {
      for (std::int64_t c = 0; c < n.channels; ++c) {
        const float value = x[at + c];
        const float d = dy[at + c] * slope_of(scale[c] * value + shift[c], kSilu);
        dx[at + c] = scale[c] * d + slope[c] * value + offset[c];
      }
      continue;
    }
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const float a = scale[c], b = shift[c], p = slope[c], q = offset[c];
      const std::int64_t plane = at + c * n.inner;
      for (std::int64_t i = 0; i < n.inner; ++i) {
        const float value = x[plane + i];
        dx[plane + i] = a * dy[plane + i] * slope_of(a * value + b, kSilu) + p * value + q;
      }
    }
  }
}

}  // namespace

// For three instruction sets; the loader picks one (a build without ifunc has the plain one).
#if defined(__x86_64__) && defined(__ELF__) && !defined(__SANITIZE_ADDRESS__)
#define HEBM_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define HEBM_CLONES
#endif

HEBM_CLONES void norm_sums(const float* x, const float* dy, const NormShape& shape, Part channels, const NormMap& map,
    double* sum, double* moment) {
  if (dy == nullptr) {
    sums<false, false>(x, dy, shape, channels, map, sum, moment);
  } else if (map.silu) {
    sums<true, true>(x, dy, shape, channels, map, sum, moment);
  } else {
    sums<true, false>(x, dy, shape, channels, map, sum, moment);
  }
}

HEBM_CLONES void norm_apply(const float* x, const NormShape& shape, Part outer, const NormMap& map, float* y) {
  if (map.silu) {
    apply<true>(x, shape, outer, map, y);
  } else {
    apply<false>(x, shape, outer, map, y);
  }
}

HEBM_CLONES void norm_backward_apply(const float* x, const float* dy, const NormShape& shape, Part outer,
    const NormMap& map, const NormMap& line, float* dx) {
  if (map.silu) {
    backward_apply<true>(x, dy, shape, outer, map, line, dx);
  } else {
    backward_apply<false>(x, dy, shape, outer, map, line, dx);
  }
}

}  // namespace hebm::nets::detail
