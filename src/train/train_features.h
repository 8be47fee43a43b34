// Training of the feature classifier of fd_fmnist. Its weights depend on the data set and
// features.* alone, not on run.seed and not on the number of ranks (int64 gradient sums, one thread
// a rank), but bits of a GPU are others.
// Artifact: RUN/features/features.safetensors.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include "data/dataset.h"
#include "nets/feature_net.h"
#include "train/training_loop.h"

namespace hebm::train {

struct FeatureTrainOptions : LoopOptions {
  FeatureTrainOptions();
  double epochs = 5.0;
  std::int64_t seed = 1;
  std::int64_t max_shift = 1;  // pixels, of the augmentation
  double min_accuracy = 0.90;
  void describe(Options& options);
};

inline std::int64_t feature_updates(const FeatureTrainOptions& options, std::size_t num_images) {  // of all epochs
  return epoch_updates(options.epochs, num_images, options.batch);
}
std::int64_t count_classes(const data::Dataset& dataset);  // Error(kUsage) for a data set without labels

// From the newest checkpoint to RUN/features/features.safetensors; run.directory is RUN/features,
// the fingerprint is made here. When the file is there already, only says so. Error(kRuntime) when
// the accuracy on the test images is below features.min_accuracy, Error(kUsage) for a data set
// without labels.
TrainingResult train_features(
    FeatureTrainOptions options, const data::Dataset& dataset, TrainingRun run, at::Device device = at::kCPU);

// Fraction of the split's images whose largest logit is the label's; fixed chunks, the same for any
// number of ranks. Collective.
double measure_accuracy(const nets::FeatureNet& net, const data::Dataset& dataset, data::Split split,
    comm::Communicator& comm, Logger& logger);

// Moves every image by its (dy, dx) pixels, filling with 0: pixels[c][y][x] comes from [c][y -
// dy][x - dx]. Returns [B, C, H, W] in [0, 1], made on `device` from the bytes.
struct Shift {
  std::int64_t dy = 0, dx = 0;
};
at::Tensor shifted_images(const ImageBatch& images, const std::vector<Shift>& shifts, at::Device device);

}  // namespace hebm::train
