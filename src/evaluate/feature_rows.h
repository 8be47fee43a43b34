// Features of many images, chunk by chunk over the ranks.
#pragma once
#include <ATen/core/Tensor.h>
#include <functional>
#include "evaluate/chunks.h"
#include "evaluate/measure.h"
#include "nets/feature_net.h"

namespace hebm::evaluate {

// images(chunk) -> [chunk.size, C, H, W] in [0, 1], on the net's device. Their moments, and where
// `keep` is asked for the features themselves. Collective.
using MakeImages = std::function<at::Tensor(const Chunk&)>;
FeatureRows collect_features(const nets::FeatureNet& net, const Items& items, bool keep, const MakeImages& images,
    comm::Communicator& comm, Logger& logger);

}  // namespace hebm::evaluate
