// The vector kernels against Random123 and against exact arithmetic, on every instruction set of
// this machine.
#include "base/random_kernels.h"
#include <Random123/philox.h>
#include <gtest/gtest.h>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

namespace hebm::detail {
namespace {

std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (isa_supported(isa)) all.push_back(isa);
  }
  return all;
}

std::array<std::uint32_t, 4> reference(PhiloxStream s, std::uint32_t i) {
  const auto w =
      r123::Philox4x32()({{s.counter.w0 + i, s.counter.w1, s.counter.w2, s.counter.w3}}, {{s.key[0], s.key[1]}});
  return {w[0], w[1], w[2], w[3]};
}

struct KnownAnswer {
  PhiloxWords counter;
  std::array<std::uint32_t, 2> key;
  std::array<std::uint32_t, 4> answer;
};

// philox4x32 10 of Random123's kat_vectors.
const KnownAnswer kKnown[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
        {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

TEST(RandomKernels, KnownAnswersOfPhilox) {
  for (const KnownAnswer& known : kKnown) {
    EXPECT_EQ(reference({known.key, known.counter}, 0), known.answer);
    for (Isa isa : isas()) {
      std::array<float, 4> out;
      philox_fill(Law::kUniform, isa, out.data(), 1, {known.key, known.counter});
      for (int w = 0; w < 4; ++w) EXPECT_EQ(out[w], static_cast<float>(known.answer[w] >> 8) / 16777216.0f);
    }
  }
}

TEST(RandomKernels, VectorPathsEqualRandom123) {
  const PhiloxStream stream{{17, 99}, {0xfffffff0u, 5, 6, 7}};  // the first word wraps on the way
  for (Isa isa : isas()) {
    std::vector<float> out(4 * 1003);
    philox_fill(Law::kUniform, isa, out.data(), 1003, stream);
    for (std::uint32_t i = 0; i < 1003; ++i) {
      for (int w = 0; w < 4; ++w) {
        ASSERT_EQ(out[4 * i + w], static_cast<float>(reference(stream, i)[w] >> 8) / 16777216.0f) << i;
      }
    }
  }
}

TEST(RandomKernels, NormalsHaveTheSameBitsOnEveryInstructionSet) {
  constexpr std::size_t kCounters = 100003;
  std::vector<float> expected(4 * kCounters), got(4 * kCounters);
  const PhiloxStream stream{{3, 4}, {0, 1, 2, 3}};
  philox_fill(Law::kNormal, Isa::kBaseline, expected.data(), kCounters, stream);
  for (Isa isa : isas()) {
    philox_fill(Law::kNormal, isa, got.data(), kCounters, stream);
    EXPECT_EQ(std::memcmp(expected.data(), got.data(), got.size() * sizeof(float)), 0) << static_cast<int>(isa);
  }
}

// These bits are part of the contract: another machine, compiler or library must give them too.
TEST(RandomKernels, NormalsHaveTheBitsOnRecord) {
  std::vector<float> out(1 << 16);
  philox_fill(Law::kNormal, best_isa(), out.data(), out.size() / 4, {{3, 4}, {0, 1, 2, 3}});
  std::uint64_t fnv = 0xcbf29ce484222325u;
  for (float x : out) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    for (int byte = 0; byte < 4; ++byte) fnv = (fnv ^ (bits >> (8 * byte) & 0xff)) * 0x100000001b3u;
  }
  EXPECT_EQ(fnv, 0x4f49060b36232fb8u) << std::hex << fnv;
}

TEST(RandomKernels, NormalsAreWithinTheStatedError) {
  constexpr std::uint32_t kCounters = 250000;
  std::vector<float> out(4 * kCounters);
  const PhiloxStream stream{{5, 6}, {0, 0, 0, 0}};
  philox_fill(Law::kNormal, best_isa(), out.data(), kCounters, stream);
  double worst_radius = 0, worst_angle = 0;
  for (std::uint32_t i = 0; i < kCounters; ++i) {
    const auto w = reference(stream, i);
    for (int pair = 0; pair < 2; ++pair) {
      const double u = (std::floor(w[2 * pair] / 2.0) + 0.5) / 2147483648.0;
      // u is rounded to float twice (word to float, + 1/2): part of the definition.
      const float scaled = static_cast<float>(static_cast<std::int32_t>(w[2 * pair] >> 1)) + 0.5f;
      const double radius = std::sqrt(-2 * std::log(static_cast<double>(scaled) / 2147483648.0));
      const double angle = 2 * std::numbers::pi * w[2 * pair + 1] / 4294967296.0;
      EXPECT_NEAR(scaled / 2147483648.0, u, u * 1.2e-7);
      const double x = out[4 * i + 2 * pair], y = out[4 * i + 2 * pair + 1];
      worst_radius = std::max(worst_radius, std::abs(std::hypot(x, y) / radius - 1));
      worst_angle =
          std::max({worst_angle, std::abs(x / radius - std::cos(angle)), std::abs(y / radius - std::sin(angle))});
    }
  }
  EXPECT_LT(worst_radius, 3.6e-7);
  EXPECT_LT(worst_angle, 3.6e-7);
}

}  // namespace
}  // namespace hebm::detail
