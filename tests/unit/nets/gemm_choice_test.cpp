// Whose kernels multiply: the rule, and that MKL is told in time.
#include "nets/gemm_choice.h"
#include <ATen/ops/mm.h>
#include "support.h"

namespace hebm::nets {
namespace {

TEST(GemmChoice, RuleByProcessor) {
  constexpr Processor intel{.is_intel = true, .has_avx512 = true}, zen3{.is_amd = true},
      zen4{.is_amd = true, .has_avx512 = true}, other{};
  EXPECT_EQ(gemm_rule(intel), Gemm::kMkl);
  EXPECT_EQ(gemm_rule(zen3), Gemm::kMkl);
  EXPECT_EQ(gemm_rule(zen4), Gemm::kMklAvx512);
  EXPECT_EQ(gemm_rule(other), Gemm::kMkl);
  for (const Processor& processor : {intel, zen3, zen4, other})
    EXPECT_TRUE(gemm_possible(gemm_rule(processor), processor));
  EXPECT_FALSE(gemm_possible(Gemm::kMklAvx512, zen3));
}

// A libtorch whose MKL no longer asks fails here: then AMD processors need another way.
TEST(GemmChoice, MklAsksOnceAndThenItIsFixed) {
  const at::Tensor x = test::random_tensor({64, 64}, 1, at::kFloat);
  at::mm(x, x);
  ASSERT_TRUE(gemm_is_fixed());
  EXPECT_EQ(gemm(), gemm_rule(this_processor()));
  set_gemm(gemm());  // nothing changes
  if (gemm() == Gemm::kMklAvx512)
    test::expect_error(
        ExitCode::kRuntime, {"compute.gemm = mkl", "multiplied by mkl_avx512"}, [] { set_gemm(Gemm::kMkl); });
  if (!this_processor().has_avx512)
    test::expect_error(ExitCode::kUsage, {"no AVX-512"}, [] { set_gemm(Gemm::kMklAvx512); });
}

}  // namespace
}  // namespace hebm::nets
