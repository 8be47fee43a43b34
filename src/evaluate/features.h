// The classifier's features of many images, chunk by chunk over the ranks, and what fd_fmnist
// compares with: their mean and covariance over all training images. These take as long as most of
// an experiment, so they are kept beside the classifier: moments-IMAGES_HASH.safetensors
// (docs/formats.md).
#pragma once
#include <filesystem>
#include <functional>
#include "data/dataset.h"
#include "evaluate/chunks.h"
#include "evaluate/moments.h"
#include "nets/feature_net.h"

namespace hebm::evaluate {

// Of a set of images.
struct FeatureRows {
  Moments moments;                // of all of them, on rank 0
  at::Tensor features;            // [n, F] float32, in order, on every rank's host; undefined unless kept
  double seconds = 0;             // of producing images, the slowest rank's
  mutable at::Tensor radii = {};  // of precision and recall, once they were asked for
};

// images(chunk) -> [chunk.size, C, H, W] in [0, 1], on the net's device. keep: the features
// themselves too. Collective.
using MakeImages = std::function<at::Tensor(const Chunk&)>;
FeatureRows collect_features(
    const nets::FeatureNet& net, const Items& items, bool keep, const MakeImages& images, const Crew& crew);

// Of a classifier that was loaded from a file.
std::filesystem::path moments_file(const nets::LoadedFeatureNet& features, const data::Dataset& dataset);

// The kept ones where they are of this classifier and these images, else made (chunk images at a
// time) and kept; a damaged file is replaced, and one that cannot be written is a note in the log.
// On rank 0. Collective. Error(kUsage): fewer than 2 training images.
Moments training_moments(
    const data::Dataset& dataset, const nets::LoadedFeatureNet& features, std::int64_t chunk, const Crew& crew);

}  // namespace hebm::evaluate
