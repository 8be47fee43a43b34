#include "results/json.h"
#include <gtest/gtest.h>
#include <cmath>
#include "results/experiments.h"
#include "results/summary.h"

namespace hebm::results::test {
namespace {

using Json = nlohmann::json;

template <class Result> void expect_same_after_reading(const Json& json) {
  EXPECT_EQ(to_json(from_json<Result>(json)).dump(), json.dump());
}
template <class Result> void expect_same_after_reading(const char* text) {
  expect_same_after_reading<Result>(Json::parse(text));
}

TEST(ResultsJson, EveryFileIsWrittenAsItWasRead) {
  expect_same_after_reading<Transition>(R"({"steps": 3, "num_images": 8, "training": {"black": 0.5, "white": 0.1},
      "levels": [{"t": 1, "step_variance": 0.5, "states": [{"k": 0, "energy": -1.5, "displacement": 0.0,
      "fd_fmnist": 40.5, "black": 0.25, "white": 0.125, "fd_posterior": 12.5}]}], "features": {"accuracy": 0.9, "hash": "ab"},
      "seconds": 2.0})");
  expect_same_after_reading<Labels>(R"({"name": "labels", "num_test": 5, "num_samples": 6, "guidance": 1.0,
      "candidates": 1, "steps": 3, "num_layers": 3, "fd_fmnist_without_label": 7.5, "heads": [{"name": "group",
      "layers": [0, 1], "test": {"accuracy": 0.5, "cross_entropy": 1.5, "reader_accuracy": 0.75,
      "by_layer": [{"layer": 0, "accuracy": 0.5}]}, "drawn": {"accuracy": 0.5, "own_accuracy": 0.25,
      "fd_fmnist": 8.0, "fd_fmnist_ratio": 1.25}, "imbalance_without_label": 0.125, "by_category": [{"category": "top",
      "accuracy": 0.5, "read_as": [3, 0], "share_of_test_images": 0.5, "share_without_label": 1.0}]}],
      "features": {"accuracy": 0.9, "hash": "ab"}, "seconds": 2.5})");
  expect_same_after_reading<Compose>(R"({"name": "attributes", "num_samples": 6, "guidance": 1.5, "candidates": 2,
      "steps_at_zero": 3, "steps": [{"step": 1, "asked": [{"name": "group", "layers": [0], "category": "top"},
      {"name": "width", "layers": [1]}], "held_layers": [], "labels": [{"name": "group", "asked_in_step": 1,
      "accuracy": 0.5, "kept": 1.0, "unchanged": 1.0}, {"name": "width", "asked_in_step": 2, "accuracy": 0.5}],
      "fd_fmnist": 9.5}], "grid": [{"group": "top", "width": "wide"}, {}], "features": {"accuracy": 0.9, "hash": "ab"},
      "seconds": 3.5})");
  expect_same_after_reading<Ood>(R"({"format": "hebm-ood", "version": 1, "positive": "out", "score": "words",
      "in": {"name": "a", "source": "s", "images_hash": "1", "num_images": 5}, "out": {"name": "b", "source": "",
      "images_hash": "2", "num_images": 5}, "num_layers": 3, "T": 2, "step_variance": 0.5, "seconds": 1.0,
      "rows": [{"scheme": "elbo", "auroc": 0.5, "auroc_low": 0.25, "auroc_high": 0.75, "aupr": 0.5, "fpr95": 1.0,
      "mean_in": -1.0, "mean_out": 1.0, "histogram": {"low": -2.0, "high": 2.0, "in": [1, 0], "out": [0, 1],
      "outside_in": 1, "outside_out": 2}}, {"scheme": "diffusion", "k": 1, "auroc": 0.5, "auroc_low": 0.25,
      "auroc_high": 0.75, "aupr": 0.5, "fpr95": 1.0, "mean_in": null, "mean_out": 1.0, "histogram": {"low": -2.0,
      "high": 2.0, "in": [], "out": [], "outside_in": 0, "outside_out": 0}}]})");
}

TEST(ResultsJson, SoAreTheScores) {
  expect_same_after_reading<Summary>(
      R"({"gaussian": {"fd_fmnist": 40.0, "kid": 1.5, "kid_error": 0.5, "num_images": 100,
      "precision": 0.5, "recall": 0.25, "seconds": 2.5}, "posterior": {"fd_fmnist": 9.0, "fd_posterior": 1.0, "of_gaussian": 0.0},
      "diffusion": {"fd_fmnist": 30.0, "num_images": 100, "fd_posterior": 3.0, "kid_posterior": 0.5,
      "kid_posterior_error": 0.25, "precision_posterior": 0.75, "recall_posterior": 0.125, "of_gaussian": 0.25},
      "sanity_test_vs_train": {"fd_fmnist": 0.5, "num_images": 90, "of_gaussian": 0.0125}, "gap_closed": 0.5,
      "model": {"backbone": "hvae", "layers": 3, "latents": 144, "levels": null, "langevin_steps": null,
      "training_steps": 30}, "features": {"accuracy": 0.9, "hash": "ab"}, "reference_images": 60000, "samples": {"sample.seed": 1},
      "by_level": [{"t": 0, "num_images": 50, "decode_true": 4.5}, {"t": 1, "num_images": 50, "decode_true": 4.5,
      "from_true": 3.5, "decode_true_posterior": 2.5, "from_true_posterior": 1.5}], "by_temperature": [{"temperature": 0.5, "num_images": 50, "gaussian": {"fd_fmnist": 1.5},
      "diffusion": {"fd_fmnist": 2.5}}]})");
  expect_same_after_reading<Priors>(R"({"rows": [{"name": "Reconstruction", "kind": "reconstruction", "fd_fmnist": 1.0,
      "num_images": 100, "seconds_per_1000": 2.0}, {"name": "Ours", "kind": "diffusion", "run": "a", "T": null,
      "training_gradients": null, "sampling_gradients": 9, "sampling_evaluations": 0, "samples": {"a": 1},
      "images_hash": "", "fd_fmnist": 1.0, "recall": 0.5, "num_images": 100, "seconds_per_1000": 2.0}],
      "features": {"accuracy": 0.9, "hash": "ab"}, "reference_images": 60000})");
  Json sweep = Json::parse(R"({"members": [{"member": "0000", "state": "failed", "prior.T": "3",
      "gap_closed": null, "num_images": 128.0, "sampling_s": null}], "settings": [{"name": "T = 3", "members": 1, "prior.T": "3",
      "fd_fmnist": {"mean": 1.0, "low": 1.0, "high": 1.0, "count": 1}, "sampling_s": {"mean": null, "low": null,
      "high": null, "count": 0}, "gap_closed": {"mean": 1.0, "low": 1.0, "high": 1.0, "count": 1}, "fd_posterior": {"mean": 2.0, "low": 1.0,
      "high": 3.0, "count": 2}}],
      "plots": [{"option": "T", "lines": [{"name": "K = 2", "x": [1.0, 2.0], "fd_fmnist": [3.0, 4.0],
      "low": [3.0, 4.0], "high": [3.0, 4.0], "sampling_s": [null, 2.0], "fd_posterior": [null, 1.0]}]}]})");
  for (const ScoreInfo& info : kScores) sweep["members"][0][std::string(info.key)] = nullptr;
  expect_same_after_reading<Sweep>(sweep);
}

TEST(ResultsJson, WhatIsOfAnotherShapeIsUnknown) {
  for (const char* text : {"null", "[]", "3", R"("text")", "{}"}) {
    EXPECT_TRUE(from_json<Summary>(Json::parse(text)).sets.empty()) << text;
    EXPECT_FALSE(from_json<Labels>(Json::parse(text)).num_samples) << text;
  }
  const auto labels = from_json<Labels>(Json::parse(R"({"num_samples": "4", "num_test": 2.5, "num_layers": 3.0,
      "features": 7, "heads": [1, {"layers": {}, "name": [], "imbalance_without_label": "x"},
      {"layers": [1, "a"], "name": "1"}]})"));
  EXPECT_FALSE(labels.num_samples);
  EXPECT_FALSE(labels.num_test);
  EXPECT_EQ(labels.num_layers, 3);
  ASSERT_EQ(labels.heads.size(), 2U);
  EXPECT_EQ(labels.heads[0].name, "");
  EXPECT_TRUE(std::isnan(labels.heads[0].imbalance_without_label));
  EXPECT_EQ(labels.heads[1].layers, (std::vector<std::int64_t>{1}));
  const auto ood = from_json<Ood>(Json::parse(R"({"rows": [{"scheme": "other", "k": 1e300}, {"scheme": 3}]})"));
  ASSERT_EQ(ood.rows.size(), 2U);
  EXPECT_EQ(ood.rows[0].scheme, OodScheme::kUnknown);
  EXPECT_FALSE(ood.rows[0].k);
  EXPECT_FALSE(from_json<Labels>(Json::parse(R"({"num_samples": 18446744073709551615})")).num_samples);
}

TEST(ResultsJson, AForeignSummaryMayHoldOtherSets) {
  const auto summary = from_json<Summary>(Json::parse(R"({"zebra": {"fd_fmnist": 2.0}, "other": {"kid": 1.0},
      "reconstruction": {}, "gaussian": {"fd_fmnist": 4.0}, "text": "x"})"));
  ASSERT_EQ(summary.sets.size(), 3U);
  EXPECT_EQ(summary.sets[0].key, "gaussian");
  EXPECT_EQ(summary.sets[1].key, "reconstruction");
  EXPECT_EQ(summary.sets[2].title(), "Zebra");
  EXPECT_DOUBLE_EQ(summary.fd("zebra"), 2.0);
  EXPECT_TRUE(std::isnan(summary.gap()));
}

}  // namespace
}  // namespace hebm::results::test
