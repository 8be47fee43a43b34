// The gradient of a Langevin step in a chain's precision, against float64.
#include "prior/potential.h"
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include "../nets/support.h"
#include "tiny_prior.h"

namespace hebm::prior {
namespace {

// The net's five products and the path's eight, there and back, each within 2^-9: 2^-9 sqrt(30) =
// 1e-2 of the root mean square.
TEST(Potential, AStepsGradientInEachPrecision) {
  test::LabelledPrior single(true, {}, at::kFloat), exact(true, {});
  single.backbone.freeze();
  const at::Tensor u = exact.u(64);
  const Chains chains(chain_ids(0, 0, 64), 1, at::kCPU);
  const auto weights_of = [](const EnergyPrior& prior, nets::Precision p) { return prior.frozen_weights(p); };
  const auto of_exact = weights_of(exact.prior, nets::Precision::kFloat32);
  const at::Tensor truth = Potential(exact.prior, exact.backbone, of_exact, chains).gradient(u);
  const auto error = [&](nets::Precision precision) {
    const auto weights = weights_of(single.prior, precision);
    return test::norm_error(
        Potential(single.prior, single.backbone, weights, chains).gradient(u.to(at::kFloat)), truth);
  };
  EXPECT_LT(error(nets::Precision::kFloat32), 1e-5);
  EXPECT_LT(error(nets::Precision::kBfloat16), 2e-2);
  EXPECT_GT(error(nets::Precision::kBfloat16), 1e-4);
}

}  // namespace
}  // namespace hebm::prior
