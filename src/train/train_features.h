// Training of the feature classifier of fd_fmnist. Its weights depend on the data set and
// features.* alone, not on run.seed and not on the number of ranks (int64 gradient sums, one thread
// a rank), but bits of a GPU are others.
// Product: RUN/features/features.safetensors.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "data/dataset.h"
#include "nets/feature_net.h"
#include "train/net_loop.h"

namespace hebm {
class Options;
}

namespace hebm::train {

struct FeatureTrainOptions {
  double epochs = 5.0;
  std::int64_t seed = 1;
  std::int64_t batch = 128, micro_batch = 16;  // batch is global
  double learning_rate = 2e-3;
  double ema = 0.998;
  std::int64_t max_shift = 1;  // pixels, of the augmentation
  double min_accuracy = 0.90;
  std::int64_t checkpoint_every = 300, log_every = 50;
  void describe(Options& options);
};

std::int64_t feature_updates(const FeatureTrainOptions& options, std::size_t num_images);  // of all epochs
std::int64_t count_classes(const data::Dataset& dataset);  // Error(kUsage) for a data set without labels
std::filesystem::path features_file(const std::filesystem::path& run_directory);  // RUN/features/features.safetensors

struct FeatureResult {
  Outcome outcome = Outcome::kDone;
  bool save_failed = false;
};
// From the newest checkpoint to the product; when it is there already, only says so.
// Error(kRuntime) when the accuracy on the test images is below features.min_accuracy,
// Error(kUsage) for a data set without labels.
FeatureResult train_features(const FeatureTrainOptions& options, const data::Dataset& dataset,
                             const std::filesystem::path& run_directory, const StopFlag* stop, comm::Communicator& comm,
                             Logger& logger, at::Device device = at::kCPU);

// Fraction of the split's images whose largest logit is the label's; fixed chunks, the same for any
// number of ranks. Collective.
double measure_accuracy(const nets::FeatureNet& net, const data::Dataset& dataset, data::Split split,
                        comm::Communicator& comm);

// Moves every image by its (dy, dx) pixels, filling with 0: pixels[c][y][x] comes from [c][y -
// dy][x - dx].
struct Shift {
  std::int64_t dy = 0, dx = 0;
};
void shift_images(ImageBatch& images, const std::vector<Shift>& shifts);

}  // namespace hebm::train
