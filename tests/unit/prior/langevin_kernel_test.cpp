// What a GPU's thread computes (langevin_element.h), run here thread by thread, against the host's
// loops: bit for bit, since both are made of the same operations without fused multiply-adds.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <Random123/philox.h>
#include <gtest/gtest.h>
#include <cstring>
#include "base/error.h"
#include "noise.h"
#include "prior/langevin.h"

namespace hebm::prior {
namespace {

const RandomKey kKey{0x1234567890abcdefull, 3, Purpose::kLangevin};
const ChainIds kIds{{7, 0xffffffffu, 123456}, {0, 9, 0xfffffffeu}, kKey.seed, kKey.attempt};
const std::vector<std::int64_t> kLevels = {2, 0, 1};

ChainRow row_of(std::size_t b) { return {kIds.item[b], kIds.visit[b], static_cast<std::uint32_t>(kLevels[b])}; }

// The grid of langevin_kernel.cu: all blocks of all rows, in an order that must not matter.
template <class Block> void all_threads(std::int64_t count, std::int64_t dim, const Block& block) {
  for (std::int64_t i = (dim + 3) / 4 - 1; i >= 0; --i) {
    for (std::int64_t b = 0; b < count; ++b) block(static_cast<std::size_t>(b), static_cast<std::uint32_t>(i));
  }
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.nbytes() == b.nbytes() && std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

TEST(LangevinKernel, WordsAreThoseOfRandom123UnderTheSameCounter) {
  const ChainRow row = row_of(0);
  const StreamKey key = kernel_key(kKey);
  for (const std::uint32_t block : {0u, 1u, 0xffffffu}) {
    for (const std::uint32_t k : {0u, 1u, 0x3fffffu}) {
      const auto got = detail::philox(detail::counter_words(block, row.item, row.visit, row.t, k, 5), key.k0, key.k1);
      // The layout is documented with RandomCounter's limits: block below layer, t below k.
      const auto w = r123::Philox4x32()({{block | 5u << 24, row.item, row.visit, row.t | k << 10}}, {{key.k0, key.k1}});
      EXPECT_EQ(got.w0, w[0]);
      EXPECT_EQ(got.w1, w[1]);
      EXPECT_EQ(got.w2, w[2]);
      EXPECT_EQ(got.w3, w[3]);
    }
  }
}

class Kernel : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(Kernel, DrawsTheNormalsOfTheHost) {
  const std::int64_t dim = GetParam();
  const at::Tensor got = at::empty({3, dim}, at::kFloat).fill_(-1e9);
  all_threads(3, dim, [&](std::size_t b, std::uint32_t block) {
    normal_block(got.data_ptr<float>() + static_cast<std::int64_t>(b) * dim, dim, block, row_of(b), kernel_key(kKey));
  });
  EXPECT_TRUE(same_bits(got, Chains(kIds, kLevels, at::kCPU).normals(kKey.purpose, dim)));
  std::vector<float> row(static_cast<std::size_t>(dim));
  fill_normal(row, kKey, {.item = kIds.item[2], .visit = kIds.visit[2], .t = 1});
  EXPECT_EQ(std::memcmp(row.data(), got.const_data_ptr<float>() + 2 * dim, row.size() * sizeof(float)), 0);
}

TEST_P(Kernel, TakesTheStepsOfTheHost) {
  const std::int64_t dim = GetParam();
  constexpr std::int64_t kSteps = 4;
  LangevinOptions options;
  options.step = 0.3;
  const auto coefficients = step_coefficients(make_schedule(3), options);
  const at::Tensor start = test::normal_rows(dim, {5, 0, Purpose::kTest}, kIds),
                   next = test::normal_rows(dim, {6, 0, Purpose::kTest}, kIds);
  const auto gradient = [](const at::Tensor& y) { return (y * -0.37).contiguous(); };
  const at::Tensor expected =
      langevin(Chains(kIds, kLevels, at::kCPU), next, gradient, coefficients, kSteps, {.start = start});
  std::vector<ChainRow> rows;
  for (std::size_t b = 0; b < 3; ++b) rows.push_back(row_of(b));
  std::vector<StepFactors> factors;
  for (const StepCoefficients& c : coefficients) {
    factors.push_back({static_cast<float>(c.y), static_cast<float>(c.u_next), static_cast<float>(c.gradient),
        static_cast<float>(c.noise)});
  }
  at::Tensor y = start.clone();
  for (std::uint32_t k = 0; k < kSteps; ++k) {
    const at::Tensor g = gradient(y);
    const StepArguments arguments{y.data_ptr<float>(), next.const_data_ptr<float>(), g.const_data_ptr<float>(), 3, dim,
        rows.data(), factors.data(), kernel_key(kKey)};
    all_threads(3, dim,
        [&](std::size_t b, std::uint32_t block) { langevin_block(arguments, static_cast<std::int64_t>(b), block, k); });
  }
  EXPECT_TRUE(same_bits(y, expected));
}

// Whole blocks, every length of a ragged last one, and a row of one element.
INSTANTIATE_TEST_SUITE_P(Lengths, Kernel, ::testing::Values(1, 2, 3, 64, 897, 1022, 2047));

TEST(Chains, RefuseWhatTheyHaveNoKernelFor) {
  EXPECT_THROW(Chains(kIds, kLevels, at::kMeta), Error);
  EXPECT_THROW(Chains(kIds, std::vector<std::int64_t>{0}, at::kCPU), Error);
  const Chains chains(kIds, kLevels, at::kCPU);
  const at::Tensor good = at::empty({3, 8}, at::kFloat).zero_();
  const auto step = [&](const at::Tensor& start, const at::Tensor& gradient) {
    langevin(
        chains, start, [&](const at::Tensor&) { return gradient; }, step_coefficients(make_schedule(3), {}), 1);
  };
  EXPECT_NO_THROW(step(good, good));
  EXPECT_THROW(step(good, at::empty({2, 8}, at::kFloat)), Error);
  EXPECT_THROW(step(good, good.to(at::kDouble)), Error);
  EXPECT_THROW(step(good.to(at::kDouble), good), Error);
  EXPECT_THROW(step(good, at::empty({8, 3}, at::kFloat).t()), Error);
  EXPECT_THROW(step(good, at::empty({3, 8}, at::TensorOptions(at::kFloat).device(at::kMeta))), Error);
}

}  // namespace
}  // namespace hebm::prior
