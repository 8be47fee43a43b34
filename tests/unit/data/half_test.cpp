#include "data/half.h"
#include <gtest/gtest.h>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>
#include "support.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hebm::data::test {
namespace {

// By the definition of the format: (-1)^s * (1.m or 0.m) * 2^e.
double by_definition(std::uint16_t half) {
  const int exponent = (half >> 10) & 31, mantissa = half & 1023;
  const double sign = (half & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

std::vector<std::uint16_t> all_halves() {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t h = 0; h < all.size(); ++h) all[h] = static_cast<std::uint16_t>(h);
  return all;
}

void expect_all_right(void (*widen)(std::span<const std::uint16_t>, std::span<float>),
    void (*narrow)(std::span<const float>, std::span<std::uint16_t>)) {
  const std::vector<std::uint16_t> all = all_halves();
  std::vector<float> wide(all.size());
  widen(all, wide);
  std::vector<std::uint16_t> back(all.size());
  narrow(wide, back);
  int wrong = 0;
  for (std::size_t h = 0; h < all.size(); ++h) {
    const double expected = by_definition(all[h]);
    const bool is_nan = std::isnan(expected);
    wrong += is_nan ? !std::isnan(wide[h]) : static_cast<double>(wide[h]) != expected;
    wrong += is_nan ? (back[h] & 0x7fff) <= 0x7c00 : back[h] != all[h];
  }
  EXPECT_EQ(wrong, 0);
  // Between neighbours a < b: the middle goes to the even one, its neighbours to the nearer one.
  // The largest finite half and the "next", 65536, behave alike, with 65536 shown as infinity.
  std::vector<float> values;
  std::vector<std::uint16_t> expected;
  for (std::uint16_t a = 0; a < 0x7c00; ++a) {
    const double high = a == 0x7bff ? 65536.0 : by_definition(static_cast<std::uint16_t>(a + 1));
    const auto middle = static_cast<float>((by_definition(a) + high) / 2);  // exact: 12 bits
    const auto even = static_cast<std::uint16_t>(a % 2 == 0 ? a : a + 1);
    for (const float sign : {1.0f, -1.0f}) {
      const std::uint16_t bit = sign < 0 ? 0x8000 : 0;
      values.insert(
          values.end(), {sign * middle, sign * std::nextafter(middle, 0.0f), sign * std::nextafter(middle, 1e9f)});
      for (const int h : {int{even}, int{a}, a + 1}) expected.push_back(static_cast<std::uint16_t>(h | bit));
    }
  }
  std::vector<std::uint16_t> got(values.size());
  narrow(values, got);
  wrong = 0;
  for (std::size_t i = 0; i < got.size(); ++i) wrong += got[i] != expected[i] ? 1 : 0;
  EXPECT_EQ(wrong, 0);
}

TEST(Half, EveryValueAndEveryRoundingPortable) { expect_all_right(from_half_portable, to_half_portable); }
TEST(Half, EveryValueAndEveryRoundingOfThisProcessor) { expect_all_right(from_half, to_half); }

#if defined(__x86_64__)
TEST(Half, SubnormalsStayWhenTheThreadFlushesThem) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
  std::vector<std::uint16_t> halves(1023), back(1023), back_portable(1023);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i + 1);
  std::vector<float> wide(1023), portable(1023);
  from_half(halves, wide);
  from_half_portable(halves, portable);
  to_half(wide, back);
  to_half_portable(portable, back_portable);
  _mm_setcsr(before);
  EXPECT_EQ(wide, portable);
  EXPECT_EQ(wide[0], std::ldexp(1.0f, -24));
  EXPECT_EQ(back, halves);
  EXPECT_EQ(back_portable, halves);
}
#endif

TEST(Half, BothPathsGiveTheSameBits) {
  std::vector<float> values;
  for (std::uint64_t bits = 0; bits < 0x100000000ull; bits += 40503)  // 106,000 of all float32, NaN too
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  std::vector<std::uint16_t> here(values.size()), portable(values.size());
  to_half(values, here);
  to_half_portable(values, portable);
  EXPECT_EQ(here, portable);
  const std::vector<std::uint16_t> all = all_halves();
  std::vector<float> a(all.size()), b(all.size());
  from_half(all, a);
  from_half_portable(all, b);
  for (std::size_t i = 0; i < all.size(); ++i)
    ASSERT_EQ(std::bit_cast<std::uint32_t>(a[i]), std::bit_cast<std::uint32_t>(b[i])) << i;
}

TEST(Half, RefusesUnequalSizes) {
  std::vector<std::uint16_t> half(3);
  std::vector<float> wide(4);
  expect_error(ExitCode::kRuntime, {"3", "4"}, [&] { from_half(half, wide); });
  expect_error(ExitCode::kRuntime, {"3", "4"}, [&] { to_half(wide, half); });
}

}  // namespace
}  // namespace hebm::data::test
