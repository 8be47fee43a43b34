// Label heads at t = 0: F-hat, the classifier and the gradients against closed forms and central
// differences in float64; the prior's file; chains.
#include "prior/label_heads.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include "../support.h"
#include "base/error.h"
#include "nets/tensor_io.h"
#include "prior/prior_file.h"
#include "prior/reverse_chain.h"
#include "tiny_prior.h"

namespace hebm::prior {
namespace {

constexpr double kS2 = 0.2;

LabelHeads two_heads() { return {{"kind", {"a", "b", "c"}, {0, 2}}, {"dark", {"no", "yes"}, {2}}}; }

at::Tensor longs(std::vector<std::int64_t> values) { return at::tensor(values, at::kLong); }
at::Tensor rows(std::vector<double> values, std::int64_t columns) {
  return at::tensor(values, at::kDouble).view({-1, columns});
}

TEST(LabelValues, HaveTheirClosedFormsAndGradients) {
  const std::vector<double> values = {0.3, -0.1, 0.05, -2.0, 1.5, 1.4};
  const at::Tensor g = rows(values, 3).requires_grad_(true), y = longs({1, 2});
  const auto softmax = [&](std::size_t b, std::size_t c) {
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) sum += std::exp(values[3 * b + k] / kS2);
    return std::exp(values[3 * b + c] / kS2) / sum;
  };
  const at::Tensor marginal = marginal_value(g, kS2), entropy = cross_entropy(g, kS2, y),
                   guided = guided_value(g, kS2, y, 1.0), strong = guided_value(g, kS2, y, 3.0),
                   any = guided_value(g, kS2, longs({-1, -1}), 3.0);
  const auto slope = [&](const at::Tensor& of) { return torch::autograd::grad({of.sum()}, {g}, {}, true)[0]; };
  const at::Tensor d_marginal = slope(marginal), d_entropy = slope(entropy), d_guided = slope(guided),
                   d_strong = slope(strong);
  const std::size_t chosen[] = {1, 2};
  for (std::size_t b = 0; b < 2; ++b) {
    const auto row = static_cast<std::int64_t>(b);
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) sum += std::exp(values[3 * b + k] / kS2);
    const double log_p = std::log(softmax(b, chosen[b])), value = values[3 * b + chosen[b]];
    EXPECT_NEAR(marginal[row].item<double>(), kS2 * std::log(sum), 1e-14);
    EXPECT_NEAR(entropy[row].item<double>(), -log_p, 1e-13);
    EXPECT_NEAR(guided[row].item<double>(), value, 1e-14);  // log p-hat + log p(y | u) is <F, y>
    EXPECT_NEAR(strong[row].item<double>(), kS2 * std::log(sum) + 3 * kS2 * log_p, 1e-13);
    EXPECT_NEAR(any[row].item<double>(), kS2 * std::log(sum), 1e-14);
    for (std::size_t c = 0; c < 3; ++c) {
      const auto column = static_cast<std::int64_t>(c);
      const double p = softmax(b, c), one = c == chosen[b] ? 1 : 0;
      EXPECT_NEAR(d_marginal[row][column].item<double>(), p, 1e-14);
      EXPECT_NEAR(d_entropy[row][column].item<double>(), (p - one) / kS2, 1e-13);
      EXPECT_NEAR(d_guided[row][column].item<double>(), one, 1e-14);
      EXPECT_NEAR(d_strong[row][column].item<double>(), p + 3 * (one - p), 1e-13);
    }
  }
}

TEST(LabelHeads, RowsOfALayerAreItsHeadsInTheirOrder) {
  const LabelHeads heads = two_heads();
  EXPECT_EQ(label_rows(heads, 0), 3);
  EXPECT_EQ(label_rows(heads, 1), 0);
  EXPECT_EQ(label_rows(heads, 2), 5);
  const auto values = head_values(heads, {rows({1, 2, 3}, 3), {}, rows({10, 20, 30, 40, 50}, 5)});
  ASSERT_EQ(values.size(), 2u);
  EXPECT_TRUE(values[0].equal(rows({11, 22, 33}, 3)));
  EXPECT_TRUE(values[1].equal(rows({40, 50}, 2)));
}

std::string message(const std::function<void()>& call, ExitCode code = ExitCode::kUsage) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    return e.what();
  }
  return "";
}

TEST(LabelHeads, WhatIsWrongIsNamed) {
  EXPECT_EQ(message([] { check_heads(two_heads(), 3); }), "");
  EXPECT_NE(message([] { check_heads(two_heads(), 2); }).find("no layer 2; the VAE has layers 0 (top) to 1"),
      std::string::npos);
  EXPECT_NE(message([] { check_heads({{"x", {"a"}, {1, 1}}}, 3); }).find("each layer once"), std::string::npos);
  EXPECT_NE(message([] { check_heads({{"x", {"a"}, {-1}}}, 3); }), "");
  EXPECT_NE(message([] { check_heads({{"x", {"a"}, {}}}, 3); }).find("no layers"), std::string::npos);
  EXPECT_NE(message([] { check_heads({{"x", {}, {0}}}, 3); }).find("no categories"), std::string::npos);
  EXPECT_NE(message([] { check_heads({{"x", {"a"}, {0}}, {"x", {"a"}, {1}}}, 3); }).find("twice"), std::string::npos);
  EXPECT_EQ(head_named(two_heads(), "dark"), 1u);
  EXPECT_NE(message([] { head_named(two_heads(), "bright"); }).find("kind, dark"), std::string::npos);
  EXPECT_EQ(category_named(two_heads()[0], "c"), 2);
  EXPECT_NE(message([] { category_named(two_heads()[0], "d"); }).find("a, b, c"), std::string::npos);
}

TEST(LabelledPotential, OneCategoryOrFreshHeadsAreTheUnlabelledPrior) {
  const test::LabelledPrior plain(true, {}), one(true, {{"x", {"only"}, {0, 1, 2}}}), fresh(true, two_heads());
  const auto value = [](const test::LabelledPrior& s, std::int64_t t) {
    const auto weights = s.prior.frozen_weights();
    return Potential(s.prior, s.backbone, weights, test::chains_at({t, t}), {kS2, nullptr}).value(s.u(2));
  };
  EXPECT_TRUE(value(one, 0).equal(value(plain, 0)));
  EXPECT_TRUE(value(fresh, 1).equal(value(plain, 1))) << "no label beyond t = 0";
  const at::Tensor more = value(fresh, 0) - value(plain, 0);
  EXPECT_LT((more - kS2 * (std::log(3.0) + std::log(2.0))).abs().max().item<double>(), 1e-14);
  const auto weights = fresh.prior.frozen_weights();
  EXPECT_EQ(message([&] { Potential(fresh.prior, fresh.backbone, weights, test::chains_at({0})); }, ExitCode::kRuntime)
                .empty(),
      false);
}

// As for the unlabelled potential: central differences with h = 1e-5 are good to 1e-9 for f of
// order 1.
TEST(LabelledPotential, GradientMatchesCentralDifferences) {
  for (const bool per_level : {true, false}) {
    test::LabelledPrior s(per_level, two_heads());
    s.draw_labels();
    const auto weights = s.prior.frozen_weights();
    const std::vector<std::int64_t> levels =
        per_level ? std::vector<std::int64_t>{0, 0, 0} : std::vector<std::int64_t>{0, 1, 0};
    const LabelChoice choice{longs({2, 0, 0, 1, -1, 1}).view({3, 2}), 1.5};
    for (const LabelChoice* chosen : {static_cast<const LabelChoice*>(nullptr), &choice}) {
      const Potential potential(s.prior, s.backbone, weights, test::chains_at(levels), {kS2, chosen});
      const at::Tensor u = s.u(3), gradient = potential.gradient(u);
      ASSERT_GT(gradient.abs().max().item<double>(), 1e-3);
      constexpr double kStep = 1e-5;
      for (std::int64_t e = 0; e < s.backbone.dim(); e += 11) {
        at::Tensor up = u.clone(), down = u.clone();
        up.select(1, e).add_(kStep);
        down.select(1, e).sub_(kStep);
        const at::Tensor numeric = (potential.value(up) - potential.value(down)) / (2 * kStep);
        EXPECT_LT((numeric - gradient.select(1, e)).abs().max().item<double>(), 1e-8) << e;
      }
    }
  }
}

TEST(LabelledPotential, ChoiceAddsTheLogProbabilityOfItsCategory) {
  test::LabelledPrior s(true, two_heads());
  s.draw_labels();
  const auto weights = s.prior.frozen_weights();
  const at::Tensor u = s.u(2);
  const LabelChoice choice{longs({2, -1, 0, -1}).view({2, 2}), 1.0};
  const Potential free(s.prior, s.backbone, weights, test::chains_at({0, 0}), {kS2, nullptr}),
      asked(s.prior, s.backbone, weights, test::chains_at({0, 0}), {kS2, &choice});
  const at::Tensor log_p = -cross_entropy(head_values(s.prior.heads(), free.label_outputs(u))[0], kS2, longs({2, 0}));
  EXPECT_LT((asked.value(u) - free.value(u) - kS2 * log_p).abs().max().item<double>(), 1e-14);
}

TEST(LabelledChain, HeldLayersStayAndLabelsMoveOnlyTheChainAtZero) {
  test::LabelledPrior s(true, two_heads(), at::kFloat);
  s.draw_labels();
  LangevinOptions langevin;
  langevin.steps = 4;
  langevin.zero_steps = 7;
  const ReverseChain chain(s.prior, s.backbone, langevin);
  constexpr std::int64_t kCount = 3;
  const LabelChoice any{at::full({kCount, 2}, -1, at::kLong), 2.0}, asked{at::full({kCount, 2}, 1, at::kLong), 2.0};
  ChainIds ids = chain_ids(3, 0, kCount);
  std::vector<std::int64_t> calls(2, 0);
  const auto count = [&](std::int64_t t, std::int64_t k, const at::Tensor&) { calls[static_cast<std::size_t>(t)] = k; };
  const at::Tensor free = chain.sample(ids, {.observer = count});
  EXPECT_EQ(calls, (std::vector<std::int64_t>{7, 4})) << "K at t = 0 is its own";
  EXPECT_TRUE(chain.sample(ids, {.labels = &any}).equal(free));
  const at::Tensor noise = chain.noise(ids);
  EXPECT_TRUE(chain.run(noise, {1, 1}, ids, {.labels = &asked}).equal(chain.run(noise, {1, 1}, ids)));
  const at::Tensor moved = chain.sample(ids, {.labels = &asked});
  EXPECT_FALSE(moved.equal(free));
  ids.visit.assign(kCount, 1);
  const HeldLayers held = chain.held({0}, moved, ids);
  const at::Tensor lower = chain.sample(ids, {.held = &held, .labels = &any});
  const std::int64_t top = s.backbone.groups()[0].size();
  EXPECT_TRUE(lower.narrow(1, 0, top).equal(moved.narrow(1, 0, top)));
  EXPECT_FALSE(lower.narrow(1, top, 5).equal(moved.narrow(1, top, 5)));
}

// The chain that goes up f_y makes y likelier than the one that is asked for another category.
TEST(LabelledChain, DrawsWhatItIsAskedFor) {
  test::LabelledPrior s(true, {{"kind", {"a", "b"}, {0, 1, 2}}}, at::kFloat);
  s.draw_labels();
  LangevinOptions langevin;
  langevin.steps = 20;
  const ReverseChain chain(s.prior, s.backbone, langevin);
  constexpr std::int64_t kCount = 16;
  const auto mean_logit = [&](std::int64_t category) {
    const LabelChoice choice{at::full({kCount, 1}, category, at::kLong), 5.0};
    const at::Tensor u0 = chain.sample(chain_ids(3, 0, kCount), {.labels = &choice});
    const at::Tensor g = head_values(s.prior.heads(), chain.label_outputs(u0))[0];
    return (g.select(1, 1) - g.select(1, 0)).mean().item<double>();
  };
  EXPECT_GT(mean_logit(1), mean_logit(0));
}

TEST(LabelledPriorFile, KeepsHeadsAndRefusesBrokenOnes) {
  const test::TempFolder folder;
  test::LabelledPrior s(true, two_heads(), at::kFloat);
  s.draw_labels();
  const auto path = folder / "prior.safetensors";
  save_prior(path, s.prior, s.energy, s.backbone.groups(), "v", nlohmann::json::object());
  const auto loaded = load_prior(path, s.backbone.groups(), "v");
  EXPECT_EQ(loaded.prior->heads(), two_heads());
  EXPECT_EQ(loaded.energy.width, s.energy.width);
  const auto before = s.prior.named_tensors(), after = loaded.prior->named_tensors();
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(before[i].tensor.equal(after[i].tensor)) << before[i].name;

  EnergyPrior copy(s.energy, s.backbone.groups(), make_schedule(2), 77, at::kFloat, 1 << 30, two_heads());
  const test::LabelledPrior plain(true, {}, at::kFloat);
  copy.copy_from(plain.prior);
  const auto weights = copy.frozen_weights(), truth = plain.prior.frozen_weights();
  const at::Tensor u = plain.u(1);
  EXPECT_TRUE(Potential(copy, s.backbone, weights, test::chains_at({1}))
                  .value(u)
                  .equal(Potential(plain.prior, s.backbone, truth, test::chains_at({1})).value(u)));

  const auto broken = [&](const std::string& from, const std::string& to) {
    std::map<std::string, std::string> metadata;
    const storage::SafetensorsFile file(path);
    for (const char* key : {"format", "version", "architecture", "identity", "vae_hash", "prior_hash"})
      metadata[key] = nets::metadata_text(file, key);
    const auto at = metadata["architecture"].find(from);
    EXPECT_NE(at, std::string::npos) << from;
    metadata["architecture"].replace(at, from.size(), to);
    nets::publish_tensors(folder / "broken.safetensors", s.prior.named_tensors(), metadata);
    return message([&] { load_prior(folder / "broken.safetensors", s.backbone.groups(), "v"); }, ExitCode::kCorrupt);
  };
  EXPECT_NE(broken("\"layers\":[0,2]", "\"layers\":[0,3]").find("no layer 3"), std::string::npos);
  EXPECT_NE(broken("\"layers\":[0,2]", "\"layers\":\"all\""), "");
  EXPECT_NE(broken("[\"a\",\"b\",\"c\"]", "[\"a\",\"b\"]"), "");
  EXPECT_NE(broken("\"name\":\"kind\"", "\"title\":\"kind\""), "");
}

}  // namespace
}  // namespace hebm::prior
