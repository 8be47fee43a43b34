#include "vae/likelihood.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "../nets/support.h"

namespace hebm::vae {
namespace {

using test::values_of;

at::Tensor pixel(double value, at::ScalarType dtype = at::kDouble) { return at::full({1, 1, 1, 1}, value, dtype); }

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

TEST(Bernoulli, ClosedFormAndSumOverPixels) {
  const at::Tensor logits = test::numbers({0.0, 1.5, -2.0, 30.0}).reshape({2, 1, 1, 2});
  const at::Tensor x = test::numbers({1.0, 0.25, 0.0, 0.5}).reshape({2, 1, 1, 2});
  const auto got = values_of(log_likelihood({LikelihoodKind::kBernoulli}, logits, x));
  EXPECT_NEAR(got[0], std::log(0.5) + 0.25 * std::log(sigmoid(1.5)) + 0.75 * std::log(sigmoid(-1.5)), 1e-14);
  EXPECT_NEAR(got[1],
      std::log(sigmoid(2.0)) - 0.5 * std::log1p(std::exp(-30.0)) - 0.5 * (30.0 + std::log1p(std::exp(-30.0))), 1e-12);
  const auto mean = values_of(mean_image({LikelihoodKind::kBernoulli}, logits));
  EXPECT_NEAR(mean[1], sigmoid(1.5), 1e-15);
  EXPECT_NEAR(mean[2], sigmoid(-2.0), 1e-15);
}

TEST(Bernoulli, SamplesAreZeroOrOneWithTheMeanAsProbability) {
  const at::Tensor logits = test::numbers({1.5, 1.5}).reshape({1, 1, 1, 2});
  const at::Tensor uniform = test::numbers({sigmoid(1.5) - 1e-6, sigmoid(1.5) + 1e-6}).reshape({1, 1, 1, 2});
  EXPECT_EQ(values_of(sample_image({LikelihoodKind::kBernoulli}, logits, uniform)), (std::vector<double>{1.0, 0.0}));
}

// All 256 values of a pixel in one batch.
std::vector<double> all_values(double mean, double log_scale, at::ScalarType dtype) {
  const at::Tensor x = (at::arange(256, at::kDouble) / 255.0).to(dtype).reshape({256, 1, 1, 1});
  const at::Tensor parameters = at::cat({pixel(mean, dtype), pixel(log_scale, dtype)}, 1).expand({256, 2, 1, 1});
  return values_of(log_likelihood({LikelihoodKind::kLogistic}, parameters, x));
}

TEST(Logistic, TheProbabilitiesOfThe256ValuesSumToOne) {
  for (const double mean : {-3.0, -1.0, -0.3, 0.0, 0.998, 1.0, 40.0}) {
    for (const double log_scale : {-30.0, -7.0, -4.0, -1.0, 0.0, 3.0, 9.0}) {
      double sum = 0, sum_single = 0;
      for (const double v : all_values(mean, log_scale, at::kDouble)) sum += std::exp(v);
      for (const double v : all_values(mean, log_scale, at::kFloat)) sum_single += std::exp(v);
      EXPECT_NEAR(sum, 1.0, 1e-11) << mean << ' ' << log_scale;
      // float32: the bin's edges have an error of eps = 6e-8 at scales down to e^-7, that is 6e-8 *
      // e^7 = 7e-5 of a probability
      EXPECT_NEAR(sum_single, 1.0, 1e-3) << mean << ' ' << log_scale;
    }
  }
}

TEST(Logistic, ClosedFormOfABinAndOfTheEdges) {
  const double mean = 0.1, s = std::exp(-1.2);
  const auto got = all_values(mean, -1.2, at::kDouble);
  const auto cdf = [&](double value) { return sigmoid((value - mean) / s); };
  for (const int k : {1, 60, 140, 254}) {
    const double centre = 2.0 * k / 255.0 - 1.0;
    EXPECT_NEAR(
        got[static_cast<std::size_t>(k)], std::log(cdf(centre + 1.0 / 255.0) - cdf(centre - 1.0 / 255.0)), 1e-11)
        << k;
  }
  EXPECT_NEAR(got[0], std::log(cdf(-1.0 + 1.0 / 255.0)), 1e-12);
  EXPECT_NEAR(got[255], std::log(1.0 - cdf(1.0 - 1.0 / 255.0)), 1e-12);
}

// Far from the mean log p falls by the distance over the scale, and its gradient pulls the mean
// there: in float32, on both sides.
TEST(Logistic, TailsKeepValueAndGradient) {
  const double log_scale = -4.0, inverse = std::exp(4.0);
  for (const double mean : {-0.9, 0.9}) {
    const at::Tensor parameters =
        at::cat({pixel(mean, at::kFloat), pixel(log_scale, at::kFloat)}, 1).requires_grad_(true);
    const double x = mean < 0 ? 200.0 / 255.0 : 55.0 / 255.0;
    const at::Tensor value = log_likelihood({LikelihoodKind::kLogistic}, parameters, pixel(x, at::kFloat)).sum();
    const double distance = (std::fabs(2.0 * x - 1.0 - mean)) * inverse, half = inverse / 255.0;
    const double expected = -distance + std::log(2.0 * std::sinh(half));  // e^-d (e^h - e^-h)
    EXPECT_NEAR(value.item<double>(), expected, 1e-4 * std::fabs(expected));
    const auto gradient = values_of(torch::autograd::grad({value}, {parameters})[0]);
    EXPECT_NEAR(gradient[0], mean < 0 ? inverse : -inverse, 1e-3 * inverse);
  }
}

TEST(Logistic, MeanAndSample) {
  const at::Tensor parameters = at::cat({pixel(0.5), pixel(-1.0)}, 1);
  EXPECT_NEAR(mean_image({LikelihoodKind::kLogistic}, parameters).item<double>(), 0.75, 1e-15);
  EXPECT_EQ(mean_image({LikelihoodKind::kLogistic}, at::cat({pixel(-1.5), pixel(0.0)}, 1)).item<double>(), 0.0);
  EXPECT_NEAR(sample_image({LikelihoodKind::kLogistic}, parameters, pixel(0.5)).item<double>(), 0.75,
      1e-15);  // the median
  const double quartile = 0.5 + std::exp(-1.0) * std::log(0.25 / 0.75);
  EXPECT_NEAR(
      sample_image({LikelihoodKind::kLogistic}, parameters, pixel(0.25)).item<double>(), 0.5 * (quartile + 1.0), 1e-14);
  for (const double u : {0.0, 1.0 - 1.0 / (1 << 24)}) {
    const double v = sample_image({LikelihoodKind::kLogistic}, parameters, pixel(u)).item<double>();
    EXPECT_TRUE(v >= 0.0 && v <= 1.0) << v;
  }
}

TEST(Likelihood, NamesAndChannels) {
  EXPECT_EQ(parse_likelihood("bernoulli"), LikelihoodKind::kBernoulli);
  EXPECT_EQ(parse_likelihood("logistic"), LikelihoodKind::kLogistic);
  test::expect_error(ExitCode::kUsage, {"'normal'", "bernoulli or logistic"}, [] { parse_likelihood("normal"); });
  EXPECT_EQ((Likelihood{LikelihoodKind::kBernoulli, 3}.channels()), 3);
  EXPECT_EQ((Likelihood{LikelihoodKind::kLogistic, 3}.channels()), 6);
}

}  // namespace
}  // namespace hebm::vae
