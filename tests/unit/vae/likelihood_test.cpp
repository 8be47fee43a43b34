// Closed forms and samples of the likelihoods; the mixture of logistics is a distribution over the
// colours' values, its samples have its moments.
#include "vae/likelihood.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <numbers>
#include "../nets/support.h"

namespace hebm::vae {
namespace {

using test::random_tensor;
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

TEST(Likelihood, Channels) {
  EXPECT_EQ((Likelihood{LikelihoodKind::kBernoulli, 3}.channels()), 3);
  EXPECT_EQ((Likelihood{LikelihoodKind::kLogistic, 3}.channels()), 6);
}

// [M] each, by colour.
struct Mixture {
  std::vector<double> logits;
  std::vector<double> means[3], log_scales[3], coefficients[3];
  at::Tensor parameters() const {  // [1, 10 M, 1, 1]
    std::vector<at::Tensor> parts = {test::numbers(logits)};
    for (int c = 0; c < 3; ++c) {
      for (const auto* values : {&means[c], &log_scales[c], &coefficients[c]}) parts.push_back(test::numbers(*values));
    }
    return at::cat(parts).reshape({1, -1, 1, 1});
  }
};

Mixture wide_mixture() {
  return {{0.3, -0.5, 1.0}, {{-0.9, 0.2, 0.95}, {0.1, -0.4, 0.7}, {0.9, 0.0, -1.4}},
      {{-1.0, -9.0, 0.5}, {-2.0, -3.0, 1.0}, {-0.5, -4.0, -1.5}},
      {{0.4, -1.0, 2.0}, {-0.7, 0.2, 0.0}, {1.5, 0.3, -0.2}}};
}

// Every image of one pixel with 5 bits a colour: 32^3.
TEST(MixtureOfLogistics, TheProbabilitiesOfAll5BitColoursSumToOne) {
  const at::Tensor value = at::arange(32, at::kDouble) / 31.0;
  const auto colour = [&](std::vector<std::int64_t> shape) {
    return value.reshape(shape).expand({32, 32, 32}).flatten();
  };
  const at::Tensor x =
      at::stack({colour({32, 1, 1}), colour({1, 32, 1}), colour({1, 1, 32})}, 1).reshape({-1, 3, 1, 1});
  const Likelihood likelihood{LikelihoodKind::kMixture, 3, 3, 5};
  const at::Tensor parameters = wide_mixture().parameters().expand({x.size(0), -1, 1, 1});
  EXPECT_NEAR(log_likelihood(likelihood, parameters, x).exp().sum().item<double>(), 1.0, 1e-11);
}

// One colour runs over its 256 values, the other two are certain: mean far above the last value,
// which takes the whole tail.
TEST(MixtureOfLogistics, TheProbabilitiesOfAll256ValuesOfEachColourSumToOne) {
  for (int running = 0; running < 3; ++running) {
    Mixture mixture = wide_mixture();
    for (int c = 0; c < 3; ++c) {
      if (c != running) mixture.means[c] = {500.0, 500.0, 500.0};
    }
    const at::Tensor value = at::arange(256, at::kDouble) / 255.0, one = at::full({256}, 1.0, at::kDouble);
    std::vector<at::Tensor> colours(3, one);
    colours[static_cast<std::size_t>(running)] = value;
    const at::Tensor x = at::stack(colours, 1).reshape({256, 3, 1, 1});
    const Likelihood likelihood{LikelihoodKind::kMixture, 3, 3, 8};
    const at::Tensor parameters = mixture.parameters().expand({256, -1, 1, 1});
    EXPECT_NEAR(log_likelihood(likelihood, parameters, x).exp().sum().item<double>(), 1.0, 1e-11) << running;
    // float32: edges of bins err by eps = 6e-8 at scales down to e^-7, that is 7e-5 of a
    // probability
    EXPECT_NEAR(
        log_likelihood(likelihood, parameters.to(at::kFloat), x.to(at::kFloat)).exp().sum().item<double>(), 1.0, 1e-3)
        << running;
  }
}

// Written out for one pixel in the order of the channels: logits, then red, green, blue with means,
// log scales, coefficients.
TEST(MixtureOfLogistics, OnePixelWrittenOut) {
  const Mixture m = wide_mixture();
  const double value[3] = {100.0 / 255.0, 7.0 / 255.0, 254.0 / 255.0};
  const double x[3] = {2 * value[0] - 1, 2 * value[1] - 1, 2 * value[2] - 1}, half = 1.0 / 255.0;
  double total = 0, norm = 0;
  for (const double l : m.logits) norm += std::exp(l);
  for (std::size_t k = 0; k < 3; ++k) {
    const double mean[3] = {m.means[0][k], m.means[1][k] + std::tanh(m.coefficients[0][k]) * x[0],
        m.means[2][k] + std::tanh(m.coefficients[1][k]) * x[0] + std::tanh(m.coefficients[2][k]) * x[1]};
    double p = std::exp(m.logits[k]) / norm;
    for (int c = 0; c < 3; ++c) {
      const double scale = std::exp(std::max(-7.0, m.log_scales[c][k]));
      p *= sigmoid((x[c] + half - mean[c]) / scale) - sigmoid((x[c] - half - mean[c]) / scale);
    }
    total += p;
  }
  const at::Tensor pixel = test::numbers({value[0], value[1], value[2]}).reshape({1, 3, 1, 1});
  const Likelihood likelihood{LikelihoodKind::kMixture, 3, 3, 8};
  EXPECT_NEAR(log_likelihood(likelihood, m.parameters(), pixel).item<double>(), std::log(total), 1e-9);
}

at::Tensor uniforms(std::vector<std::int64_t> shape) { return (random_tensor(std::move(shape), 5) + 1.0) * 0.5; }

// Narrow logistics well inside [-1, 1]: nothing is clamped, so moments are those of the mixture:
// red m_r, green m_g + t red, blue m_b + t' red + t'' green, and a logistic's variance is (pi s)^2
// / 3.
TEST(MixtureOfLogistics, SamplesHaveTheMixturesMoments) {
  const Mixture m{{0.4, -0.6}, {{-0.3, 0.4}, {0.1, -0.2}, {0.0, 0.2}}, {{-3.5, -4.0}, {-4.5, -3.5}, {-4.0, -5.0}},
      {{0.5, -0.8}, {0.3, 0.2}, {-0.6, 0.4}}};
  constexpr std::int64_t kDraws = 200000;
  const at::Tensor drawn =
      mixture_sample(m.parameters().expand({1, -1, 1, kDraws}), uniforms({1, 4, 1, kDraws}), 2).reshape({3, kDraws});
  const double weight = std::exp(0.4) / (std::exp(0.4) + std::exp(-0.6)), weights[2] = {weight, 1.0 - weight};
  double mean[3] = {0, 0, 0}, second[3][3] = {};
  for (std::size_t k = 0; k < 2; ++k) {
    const double t0 = std::tanh(m.coefficients[0][k]), t1 = std::tanh(m.coefficients[1][k]),
                 t2 = std::tanh(m.coefficients[2][k]);
    // x = A (m + s e): rows of A
    const double a[3][3] = {{1, 0, 0}, {t0, 1, 0}, {t1 + t2 * t0, t2, 1}};
    double mu[3], variance[3];
    for (int c = 0; c < 3; ++c) {
      mu[c] = a[c][0] * m.means[0][k] + a[c][1] * m.means[1][k] + a[c][2] * m.means[2][k];
      variance[c] = std::pow(std::numbers::pi * std::exp(m.log_scales[c][k]), 2) / 3.0;
      mean[c] += weights[k] * mu[c];
    }
    for (int c = 0; c < 3; ++c) {
      for (int d = 0; d < 3; ++d) {
        double covariance = 0;
        for (int e = 0; e < 3; ++e) covariance += a[c][e] * a[d][e] * variance[e];
        second[c][d] += weights[k] * (mu[c] * mu[d] + covariance);
      }
    }
  }
  for (std::int64_t c = 0; c < 3; ++c) {
    const auto bound = [](const at::Tensor& values) {
      return 5.0 * values.std().item<double>() / std::sqrt(static_cast<double>(kDraws));
    };
    EXPECT_NEAR(drawn[c].mean().item<double>(), mean[c], bound(drawn[c])) << c;
    for (std::int64_t d = 0; d < 3; ++d) {
      const at::Tensor product = drawn[c] * drawn[d];
      EXPECT_NEAR(product.mean().item<double>(), second[c][d], bound(product)) << c << ' ' << d;
    }
  }
  const auto average =
      values_of(mixture_mean(m.parameters(), 2));  // not the mean of the mixture: means first, colours after
  EXPECT_NEAR(average[0], mean[0], 1e-12);
}

// Every image is in [0, 1], at the ends of the uniforms and with components outside of it, too.
TEST(MixtureOfLogistics, SamplesAndMeansAreImages) {
  const Likelihood likelihood{LikelihoodKind::kMixture, 3, 3, 5};
  EXPECT_EQ(likelihood.sample_channels(), 4);
  for (const double u : {0.0, 0.5, 1.0 - 1.0 / (1 << 24)}) {
    const at::Tensor x = sample_image(likelihood, wide_mixture().parameters(), at::full({1, 4, 1, 1}, u, at::kDouble));
    EXPECT_EQ(x.sizes().vec(), (std::vector<std::int64_t>{1, 3, 1, 1}));
    for (const double v : values_of(x)) EXPECT_TRUE(v >= 0.0 && v <= 1.0) << v;
  }
  for (const double v : values_of(mean_image(likelihood, wide_mixture().parameters())))
    EXPECT_TRUE(v >= 0.0 && v <= 1.0) << v;
}

TEST(NormalLikelihood, ClosedFormMeanAndQuantiles) {
  const Likelihood likelihood{LikelihoodKind::kNormal, 3};
  EXPECT_EQ(likelihood.channels(), 6);
  EXPECT_EQ(likelihood.sample_channels(), 3);
  const at::Tensor parameters = test::numbers({0.3, -0.2, 7.0, -1.0, -3.0, 0.5}).reshape({1, 6, 1, 1});
  const at::Tensor x = test::numbers({0.6, 0.1, 1.0}).reshape({1, 3, 1, 1});
  const auto clamp = [](double v) { return 5.0 * std::tanh(v / 5.0); };
  const double mean[3] = {clamp(0.3), clamp(-0.2), clamp(7.0)},
               sigma[3] = {std::exp(clamp(-1.0)) + 0.01, std::exp(clamp(-3.0)) + 0.01, std::exp(clamp(0.5)) + 0.01};
  const double scaled[3] = {0.2, -0.8, 1.0};
  double expected = 0;
  for (int c = 0; c < 3; ++c) {
    expected += -0.5 * std::pow((scaled[c] - mean[c]) / sigma[c], 2) - std::log(sigma[c]) -
                0.5 * std::log(2.0 * std::numbers::pi);
  }
  EXPECT_NEAR(log_likelihood(likelihood, parameters, x).item<double>(), expected, 1e-12 * std::fabs(expected));
  const auto middle = values_of(mean_image(likelihood, parameters));
  EXPECT_NEAR(middle[0], 0.5 * (mean[0] + 1.0), 1e-15);
  EXPECT_EQ(middle[2], 1.0);
  const double one_sigma = 0.5 * std::erfc(-1.0 / std::numbers::sqrt2);  // P(N(0, 1) < 1)
  const auto drawn = values_of(sample_image(likelihood, parameters, at::full({1, 3, 1, 1}, one_sigma, at::kDouble)));
  EXPECT_NEAR(drawn[0], 0.5 * (mean[0] + sigma[0] + 1.0), 1e-12);
  EXPECT_NEAR(drawn[1], 0.5 * (mean[1] + sigma[1] + 1.0), 1e-12);
}

}  // namespace
}  // namespace hebm::vae
