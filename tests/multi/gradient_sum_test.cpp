// GradientSum on real ranks (1, 2 and 3): joined sums have the bits of separate ones.
#include "train/gradient_sum.h"
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <cmath>
#include <cstdlib>
#include "multi/world.h"

namespace hebm::comm {

std::unique_ptr<Communicator> make_world(const CommOptions& options) { return make_communicator(options); }

}  // namespace hebm::comm

namespace hebm::train {
namespace {

// Nine nets of 60 KB, one of 1.6 MB, three of 4 KB.
const std::vector<std::int64_t> kSizes = {
    15360, 15360, 15360, 15360, 15360, 15360, 15360, 15360, 15360, 400000, 1000, 1000, 1000};
constexpr std::int64_t kMicroBatches = 5;

// Element i of bucket b in micro-batch m, over ten powers of ten, so that the order of a sum shows.
float value(std::size_t b, std::int64_t m, std::int64_t i) {
  const auto hash = static_cast<std::uint32_t>(i * 7919 + m * 104729 + static_cast<std::int64_t>(b) * 1299709 + 1);
  const double scale = std::pow(10.0, static_cast<double>((hash * 2654435761U) >> 28U) - 8.0);
  return static_cast<float>(scale * std::sin(static_cast<double>(hash % 100003)));
}

struct Nets {
  std::vector<std::unique_ptr<nets::Parameters>> params;
  Nets() {
    for (const std::int64_t size : kSizes) {
      params.push_back(std::make_unique<nets::Parameters>(1, 1));
      params.back()->add("w", {size}, nets::Init::kZero);
      params.back()->flatten();
    }
  }
  std::vector<Bucket> buckets() {
    std::vector<Bucket> out;
    for (const auto& p : params) out.push_back({"", *p});
    return out;
  }
};

// The sums of an update: rank r has the micro-batches r, r + N, ...; a rank may have none of a net.
std::vector<at::Tensor> sums(bool deterministic, std::int64_t joined_bytes, std::int64_t collectives) {
  comm::Communicator& world = comm::world();
  Nets nets;
  GradientSum sum(world, nets.buckets(), deterministic, kMicroBatches, joined_bytes);
  EXPECT_EQ(sum.collectives_per_update(), collectives);
  const auto takes = [&](std::size_t b, std::int64_t m) {  // bucket b learns from micro-batch m, on this rank
    return m % world.size() == world.rank() && (b + static_cast<std::size_t>(m)) % 2 == 0;
  };
  std::vector<std::int64_t> expected(kSizes.size(), 0);
  for (std::size_t b = 0; b < kSizes.size(); ++b)
    for (std::int64_t m = 0; m < kMicroBatches; ++m) expected[b] += takes(b, m) ? 1 : 0;
  sum.begin(expected);
  for (std::int64_t m = 0; m < kMicroBatches; ++m) {
    for (std::size_t b = 0; b < kSizes.size(); ++b) {
      if (!takes(b, m)) continue;
      float* gradient = nets.params[b]->grad().data_ptr<float>();
      for (std::int64_t i = 0; i < kSizes[b]; ++i) gradient[i] += value(b, m, i);
      sum.backward_done(b);
    }
  }
  sum.finish();
  std::vector<at::Tensor> out;
  for (const auto& p : nets.params) out.push_back(p->grad());
  return out;
}

// The sum in float64, and the sum of the terms' sizes.
std::pair<double, double> exact(std::size_t b, std::int64_t i) {
  double sum = 0, sizes = 0;
  for (std::int64_t m = 0; m < kMicroBatches; ++m) {
    if ((b + static_cast<std::size_t>(m)) % 2 != 0) continue;
    sum += value(b, m, i);
    sizes += std::abs(value(b, m, i));
  }
  return {sum, sizes};
}

class Sums : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(FastAndDeterministic, Sums, testing::Bool());

TEST_P(Sums, JoinedHaveTheBitsOfSeparateOnes) {
  const bool deterministic = GetParam();
  const std::int64_t scales = deterministic ? 1 : 0;
  const auto separate = sums(deterministic, 0, 13 + scales);
  // Float: nine nets by twos, 1.6 MB alone, 12 KB. Int64: nine of 123 KB alone, 3.2 MB, 24 KB.
  const auto joined = sums(deterministic, GradientSum::kJoinedBytes, deterministic ? 12 : 7);
  const auto all = sums(deterministic, 1 << 30, 1 + scales);
  for (std::size_t b = 0; b < kSizes.size(); ++b) {
    EXPECT_TRUE(at::equal(separate[b], joined[b])) << "bucket " << b;
    EXPECT_TRUE(at::equal(separate[b], all[b])) << "bucket " << b;
    for (std::int64_t i = 0; i < kSizes[b]; i += 997) {
      const auto [sum, sizes] = exact(b, i);  // 5 roundings, of float or of an int64 scaled for 1e7
      ASSERT_NEAR(joined[b][i].item<double>(), sum, 5 * (std::ldexp(sizes, -24) + std::ldexp(1e7, -57)))
          << b << " " << i;
    }
  }
}

}  // namespace
}  // namespace hebm::train
