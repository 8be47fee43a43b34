// What the experiments on a trained prior (transition, vary) share: what they look at, who the
// images of a unit of work are, and what is seen in them.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <vector>
#include "data/dataset.h"
#include "nets/feature_net.h"
#include "prior/langevin.h"
#include "prior/potential.h"
#include "results/scores.h"
#include "vae/backbone.h"

namespace hebm::evaluate {

// How chains are drawn for labels.
struct LabelGuidance {
  double guidance = 1.0;        // prior/label_heads.h
  std::int64_t candidates = 1;  // prior/reverse_chain.h
};

// Backbone, classifier and prior are on one device.
struct ExperimentInputs {
  const data::Dataset& dataset;
  const vae::Backbone& backbone;
  const nets::LoadedFeatureNet& features;
  const prior::EnergyPrior& prior;
  prior::LangevinOptions langevin;
};

// Numbers of a split's images first .. first + count - 1, starting again beyond the end (the
// padding of a last chunk).
std::vector<std::int64_t> split_members(
    const data::Dataset& dataset, data::Split split, std::int64_t first, std::int64_t count);
// The same as images, [count, C, H, W] in [0, 1] on `device`.
at::Tensor split_images(
    const data::Dataset& dataset, data::Split split, std::int64_t first, std::int64_t count, at::Device device);

// Images of u_0 [B, D], and what the classifier of the scores makes of them.
struct Seen {
  at::Tensor x, features, classes;  // [B, C, H, W], [B, F], [B] int64
};
Seen see(const ExperimentInputs& inputs, const at::Tensor& u0);
results::Classifier classifier(const nets::LoadedFeatureNet& features);

// A picture of images [N, C, H, W]; makes its folder.
void write_grid(const std::filesystem::path& file, const at::Tensor& images, std::int64_t columns);

}  // namespace hebm::evaluate
