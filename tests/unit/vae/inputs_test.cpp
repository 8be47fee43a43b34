#include "vae/inputs.h"
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include "../nets/support.h"

namespace hebm::vae {
namespace {

using test::values_of;

ImageBatch every_byte(std::int64_t count = 1) {
  ImageBatch batch;
  batch.shape = {1, 16, 16};
  batch.count = count;
  for (std::int64_t i = 0; i < count * 256; ++i) batch.pixels.push_back(static_cast<std::uint8_t>(i % 256));
  return batch;
}

// floor(byte / 2^(8 - bits)) / (2^bits - 1) of every byte, in integers.
TEST(ImageBatch, NaNIsNoPicture) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    const at::Tensor x = image_tensor(every_byte(3));
    EXPECT_EQ(image_batch(x).pixels, every_byte(3).pixels);
    x.mutable_data_ptr<float>()[2 * 256 + 7] = bad;
    test::expect_error(ExitCode::kDiverged, {"image 102 holds NaN or Inf"}, [&] { image_batch(x, 100); });
  }
}

TEST(Quantised, EveryByte) {
  const at::Tensor x = image_tensor(every_byte());
  for (const int bits : {1, 3, 5, 7}) {
    const auto got = values_of(quantised(x, bits));
    for (int byte = 0; byte < 256; ++byte) {
      EXPECT_EQ(got[static_cast<std::size_t>(byte)],
          static_cast<float>(byte >> (8 - bits)) / static_cast<float>((1 << bits) - 1))
          << byte << " to " << bits;
    }
  }
  EXPECT_TRUE(quantised(x, 8).equal(x));
  test::expect_error(ExitCode::kRuntime, {"9 bits"}, [&] { quantised(x, 9); });
}

// A pixel of value p is 1 in p of the draws: over n draws within 5 standard deviations; 0 and 1
// always stay.
TEST(Binarised, FreshDrawsOfTheRightProbability) {
  const std::int64_t n = 400;
  const at::Tensor x = image_tensor(every_byte(n));
  std::vector<std::int64_t> images;
  for (std::int64_t i = 0; i < n; ++i) images.push_back(i);
  const std::vector<std::uint32_t> first(n, 0), second(n, 1);
  const RandomKey key{3, 0, Purpose::kBinarise};
  const at::Tensor a = binarised(x, key, images, first), b = binarised(x, key, images, second);
  EXPECT_TRUE(((a == 0.0) | (a == 1.0)).all().item<bool>());
  EXPECT_TRUE(a.equal(binarised(x, key, images, first)));
  EXPECT_FALSE(a.equal(b));
  const auto mean = values_of(a.mean({0}));
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const double p = static_cast<double>(byte) / 255.0;
    EXPECT_NEAR(mean[byte], p, 5.0 * std::sqrt(p * (1.0 - p) / static_cast<double>(n)) + 1e-9) << byte;
  }
  // An image's draw does not depend on its neighbours.
  const std::vector<std::int64_t> one = {7};
  const std::vector<std::uint32_t> visit = {0};
  EXPECT_TRUE(binarised(x.narrow(0, 7, 1), key, one, visit).equal(a.narrow(0, 7, 1)));
}

}  // namespace
}  // namespace hebm::vae
