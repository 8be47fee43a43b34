// NVAE's likelihoods: the mixture of logistics is a distribution over the colours' values, its
// samples have its moments; the Normal's closed form.
#include "vae/mixture_logistic.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <cmath>
#include <numbers>
#include "../nets/support.h"
#include "vae/likelihood.h"

namespace hebm::vae {
namespace {

using test::random_tensor;
using test::values_of;

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

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

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
