// What the experiments on a trained prior (transition, vary) share: what they look at, who the
// images of a unit of work are, and the order in which the ranks' results are taken.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "nets/feature_net.h"
#include "prior/langevin.h"
#include "prior/potential.h"
#include "vae/backbone.h"

namespace hebm::evaluate {

// How chains are drawn for labels.
struct LabelGuidance {
  double guidance = 1.0;        // prior/label_heads.h
  std::int64_t candidates = 1;  // prior/label_draws.h
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
std::vector<std::int64_t> split_members(const data::Dataset& dataset, data::Split split, std::int64_t first,
                                        std::int64_t count);
// The same as images, [count, C, H, W] in [0, 1] on `device`.
at::Tensor split_images(const data::Dataset& dataset, data::Split split, std::int64_t first, std::int64_t count,
                        at::Device device);

// make(first) -> float32 numbers of chunk first .. first + chunk - 1, on the host, of any shape;
// rank r makes chunks r, r + size, ... Every rank takes all of them in order, flat, so that sums
// over images have the same bits on any number of ranks. Collective.
using MakeNumbers = std::function<at::Tensor(std::int64_t first)>;
using TakeNumbers = std::function<void(std::int64_t first, const at::Tensor& numbers)>;
void for_chunks(std::int64_t n, std::int64_t chunk, const MakeNumbers& make, const TakeNumbers& take,
                comm::Communicator& comm, Logger& logger, const std::string& what);

}  // namespace hebm::evaluate
