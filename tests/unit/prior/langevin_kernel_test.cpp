// What a GPU's thread computes (langevin_element.h), run here thread by thread, against the host's
// loops: bit for bit, since both are made of the same operations without fused multiply-adds.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <Random123/philox.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "prior/chain_rows.h"
#include "prior/forward_pair.h"
#include "prior/langevin_element.h"

namespace hebm::prior {
namespace {

const RandomKey kKey{0x1234567890abcdefull, 3, Purpose::kLangevin};
const ChainIds kIds{{7, 0xffffffffu, 123456}, {0, 9, 0xfffffffeu}};
const std::vector<std::int64_t> kLevels = {2, 0, 1};

StreamKey key_words() {
  const auto words = stream_key(kKey);
  return {words[0], words[1]};
}

ChainRow row_of(std::size_t b, const std::vector<StepCoefficients>& coefficients) {
  const StepCoefficients& c = coefficients[static_cast<std::size_t>(kLevels[b])];
  return {kIds.item[b],
          kIds.visit[b],
          static_cast<std::uint32_t>(kLevels[b]),
          static_cast<float>(c.y),
          static_cast<float>(c.u_next),
          static_cast<float>(c.gradient),
          static_cast<float>(c.noise)};
}

// The grid of langevin_kernel.cu: all blocks of all rows, in an order that must not matter.
template <class Block>
void all_threads(std::int64_t count, std::int64_t dim, const Block& block) {
  for (std::int64_t i = (dim + 3) / 4 - 1; i >= 0; --i) {
    for (std::int64_t b = 0; b < count; ++b) block(static_cast<std::size_t>(b), static_cast<std::uint32_t>(i));
  }
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.nbytes() == b.nbytes() && std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

TEST(LangevinKernel, WordsAreThoseOfRandom123UnderTheSameCounter) {
  const ChainRow row = row_of(0, step_coefficients(make_schedule(3), {}));
  const StreamKey key = key_words();
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
  const auto coefficients = step_coefficients(make_schedule(3), {});
  const at::Tensor got = at::empty({3, dim}, at::kFloat).fill_(-1e9);
  all_threads(3, dim, [&](std::size_t b, std::uint32_t block) {
    normal_block(got.data_ptr<float>() + static_cast<std::int64_t>(b) * dim, dim, block, row_of(b, coefficients),
                 key_words());
  });
  EXPECT_TRUE(same_bits(got, normal_rows(dim, kKey, kIds, kLevels)));
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
  const at::Tensor start = normal_rows(dim, {5, 0, Purpose::kTest}, kIds, {}),
                   next = normal_rows(dim, {6, 0, Purpose::kTest}, kIds, {});
  const auto gradient = [](const at::Tensor& y) { return (y * -0.37).contiguous(); };
  const at::Tensor expected = run_langevin(start, next, kLevels, coefficients, kSteps, kKey, kIds, gradient);
  at::Tensor y = start.clone();
  for (std::uint32_t k = 0; k < kSteps; ++k) {
    const at::Tensor g = gradient(y);
    all_threads(3, dim, [&](std::size_t b, std::uint32_t block) {
      const std::int64_t at = static_cast<std::int64_t>(b) * dim;
      langevin_block(y.data_ptr<float>() + at, next.const_data_ptr<float>() + at, g.const_data_ptr<float>() + at, dim,
                     block, row_of(b, coefficients), k, key_words());
    });
  }
  EXPECT_TRUE(same_bits(y, expected));
}

// Whole blocks, every length of a ragged last one, and a row of one element.
INSTANTIATE_TEST_SUITE_P(Lengths, Kernel, ::testing::Values(1, 2, 3, 64, 897, 1022, 2047));

TEST(ChainRows, RefuseWhatTheyHaveNoKernelFor) {
  EXPECT_THROW(ChainRows(at::kMeta, kKey, kIds, kLevels, {}), Error);
  EXPECT_THROW(ChainRows(at::kCPU, kKey, kIds, {0}, {}), Error);
  ChainRows rows(at::kCPU, kKey, kIds, kLevels, step_coefficients(make_schedule(3), {}));
  const at::Tensor good = at::empty({3, 8}, at::kFloat).zero_();
  rows.step(good, good, good);
  EXPECT_THROW(rows.step(good, good, at::empty({2, 8}, at::kFloat)), Error);
  EXPECT_THROW(rows.step(good, good, good.to(at::kDouble)), Error);
  EXPECT_THROW(rows.step(good, good, at::empty({8, 3}, at::kFloat).t()), Error);
  EXPECT_THROW(rows.step(good, good, at::empty({3, 8}, at::TensorOptions(at::kFloat).device(at::kMeta))), Error);
}

}  // namespace
}  // namespace hebm::prior
