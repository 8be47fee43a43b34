// What fd_fmnist compares with: mean and covariance of the classifier's features of all training
// images. They take as long as most of an experiment, so they are kept beside the classifier:
// moments-IMAGES_HASH.safetensors (docs/formats.md).
#pragma once
#include <cstdint>
#include <filesystem>
#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "evaluate/statistics.h"
#include "nets/feature_net.h"

namespace hebm::evaluate {

// Of a classifier that was loaded from a file.
std::filesystem::path moments_file(const nets::LoadedFeatureNet& features, const data::Dataset& dataset);

// Error(kUsage): fewer than 2 training images.
// The kept ones where they are of this classifier and these images, else made (chunk images at a
// time) and kept; a damaged file is replaced, and one that cannot be written is a note in the log.
// On rank 0. Collective.
Moments training_moments(const data::Dataset& dataset, const nets::LoadedFeatureNet& features, std::int64_t chunk,
    comm::Communicator& comm, Logger& logger);

}  // namespace hebm::evaluate
