// What the experiments on a trained prior (transition, vary) share: what they look at, who the
// images of a chunk are, and what is seen in them.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "base/options.h"
#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "nets/feature_net.h"
#include "prior/label_heads.h"
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

// Backbone, classifier and prior are on one device, where images are made and looked at.
struct ScoreInputs {
  const data::Dataset& dataset;
  const vae::Backbone& backbone;
  const nets::LoadedFeatureNet& features;
};
struct ExperimentInputs : ScoreInputs {
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
Seen see(const ScoreInputs& inputs, const at::Tensor& u0);
// What images show of a label, told without the prior: classes, and groups of them, by the
// classifier of the scores; measured attributes from the pixels, by the data set's own rule.
class LabelReader {
 public:
  // Error(kUsage) where the data set or the classifier does not know these categories.
  LabelReader(const prior::LabelHead& head, const data::Dataset& dataset, const nets::FeatureNet& classifier);
  // x [B, C, H, W] in [0, 1]; classes [B] int64: the classifier's -> [B] int64, all on x's device.
  at::Tensor read(const at::Tensor& x, const at::Tensor& classes) const;
  // Of the data set's images.
  const data::LabelColumn& column() const { return column_; }
 private:
  data::LabelColumn column_;
  data::Attribute attribute_;  // without a name: the data set's labels
};

results::Classifier classifier(const nets::LoadedFeatureNet& features);

// A picture of images [N, C, H, W]; makes its folder.
void write_grid(const std::filesystem::path& file, const at::Tensor& images, std::int64_t columns);

}  // namespace hebm::evaluate
