// Features of many images, chunk by chunk over the ranks: streaming sums for the Frechet distance,
// and (optionally) the features themselves.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "comm/communicator.h"
#include "evaluate/measure.h"
#include "nets/feature_net.h"

namespace hebm::evaluate {

// images(first, count) -> [count, C, H, W] in [0, 1], on the net's device; always called with
// `chunk` rows (rows beyond n are dropped), so that a row's bits do not depend on the number of
// ranks. Collective.
using MakeImages = std::function<at::Tensor(std::int64_t first, std::int64_t count)>;
FeatureRows collect_features(const nets::FeatureNet& net, const std::vector<double>& reference, std::int64_t n,
                             std::int64_t chunk, bool keep, const MakeImages& images, comm::Communicator& comm,
                             Logger& logger, const std::string& what);

}  // namespace hebm::evaluate
