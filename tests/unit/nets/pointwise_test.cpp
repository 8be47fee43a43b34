// The pointwise loops against torch in float64, on every instruction set of this machine, with row
// lengths that no vector divides. SiLU and its slope are within 3e-7 of max(1, |x|).
#include "nets/pointwise.h"
#include <ATen/ops/empty_like.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/nan_to_num.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>
#include <bit>
#include <limits>
#include "support.h"

namespace hebm::nets {
namespace {

using test::largest_difference;
using test::random_tensor;

class PointwiseTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!isa_supported(GetParam())) GTEST_SKIP() << "not on this processor";
  }
};
INSTANTIATE_TEST_SUITE_P(
    Isa, PointwiseTest, testing::Values(Isa::kPlain, Isa::kAvx2, Isa::kAvx512), [](const auto& isa) {
      return isa.param == Isa::kPlain ? "plain" : isa.param == Isa::kAvx2 ? "avx2" : "avx512";
    });

TEST_P(PointwiseTest, SiluWithBiasAndSlope) {
  for (const std::int64_t channels : {1, 8, 13, 32}) {
    const at::Tensor x = random_tensor({6, channels}, 1, at::kFloat) * 20.0,
                     bias = random_tensor({channels}, 2, at::kFloat);
    const at::Tensor out = at::empty_like(x), slope = at::empty_like(x);
    silu_rows({6, channels, x.const_data_ptr<float>(), bias.const_data_ptr<float>(), out.mutable_data_ptr<float>(),
                  slope.mutable_data_ptr<float>()},
        GetParam());
    const at::Tensor sum = (x + bias).to(at::kDouble), s = at::sigmoid(sum);
    EXPECT_LT(largest_difference(out, sum * s), 21 * 3e-7);
    EXPECT_LT(largest_difference(slope, s * (1.0 + sum * (1.0 - s))), 21 * 3e-7);
  }
}

TEST_P(PointwiseTest, NormalRowsAreEquation15) {
  constexpr double kBound = 2.0;
  for (const std::int64_t n : {3, 8, 16}) {
    const at::Tensor head = random_tensor({5, 2 * n}, 1, at::kFloat) * 6.0,
                     u = random_tensor({5, n}, 2, at::kFloat) * 4.0;
    const at::Tensor bias = random_tensor({2 * n}, 3, at::kFloat);
    const at::Tensor z = at::empty_like(u), sigma = at::empty_like(u), slope = at::empty_like(u);
    normal_rows({5, n, static_cast<float>(kBound), head.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                    u.const_data_ptr<float>(), z.mutable_data_ptr<float>(), sigma.mutable_data_ptr<float>(),
                    slope.mutable_data_ptr<float>()},
        GetParam());
    const at::Tensor raw = (head + bias).to(at::kDouble), t = at::tanh(raw.narrow(1, n, n) / kBound);
    const at::Tensor scale = (t * kBound).exp(), of_u = scale * u.to(at::kDouble);
    EXPECT_LT(largest_difference(sigma, scale), 7.4 * 2e-6);  // log sigma is within 2e-6, sigma at most e^2
    EXPECT_LT(largest_difference(z, raw.narrow(1, 0, n) + of_u), 30 * 2e-6);
    EXPECT_LT(largest_difference(slope, of_u * (1.0 - t * t)), 30 * 2e-6);
  }
}

TEST_P(PointwiseTest, RoundsAsTorchDoes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  at::Tensor x = random_tensor({2085}, 1, at::kFloat) * 1e3;
  // Ties to even both ways, the largest that stays finite and the next, a subnormal, several NaN.
  const std::vector<float> special = {1.00390625f, 1.01171875f, 3.3895314e38f, 3.3961775e38f, -0.0f, 1e-40f, kInfinity,
      -kInfinity, kNan, std::bit_cast<float>(0x7fffffffu), std::bit_cast<float>(0xff800001u)};
  std::copy(special.begin(), special.end(), x.mutable_data_ptr<float>() + 40);
  at::Tensor y = at::empty({2085}, at::kBFloat16);
  to_bfloat16(x.const_data_ptr<float>(), y.mutable_data_ptr<at::BFloat16>(), 2085, GetParam());
  const at::Tensor want = x.to(at::kBFloat16);
  EXPECT_TRUE(y.to(at::kFloat).nan_to_num(77.0).equal(want.to(at::kFloat).nan_to_num(77.0)));
  EXPECT_EQ(y.isnan().sum().item<std::int64_t>(), 3);
}

TEST_P(PointwiseTest, ProductsAndSums) {
  const at::Tensor x = random_tensor({37}, 1, at::kFloat), y = random_tensor({37}, 2, at::kFloat);
  at::Tensor product = x.clone(), sum = x.clone();
  multiply_by(product.mutable_data_ptr<float>(), y.const_data_ptr<float>(), 37, GetParam());
  add_to(sum.mutable_data_ptr<float>(), y.const_data_ptr<float>(), 37, GetParam());
  EXPECT_TRUE(product.equal(x * y));
  EXPECT_TRUE(sum.equal(x + y));
}

TEST(Pointwise, ChannelsLastAndBack) {
  const at::Tensor x = random_tensor({2, 3, 5}, 1, at::kFloat);
  at::Tensor last = at::empty_like(x), back = at::empty_like(x);
  to_channels_last(x.const_data_ptr<float>(), last.mutable_data_ptr<float>(), 2, 3, 5);
  EXPECT_TRUE(last.view({2, 5, 3}).equal(x.transpose(1, 2)));
  from_channels_last(last.const_data_ptr<float>(), back.mutable_data_ptr<float>(), 2, 3, 5);
  EXPECT_TRUE(back.equal(x));
}

}  // namespace
}  // namespace hebm::nets
