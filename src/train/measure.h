// What a trained net is judged by: sums over the images of a split by fixed chunks, the same for
// any number of ranks; the ELBO of a VAE (Sec. 2.1).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>
#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "vae/backbone.h"

namespace hebm::train {

// The test images, or of a data set without any the training images.
data::Split judged_split(const data::Dataset& dataset);

inline constexpr std::int64_t kMeasuredAtOnce = 100;
std::int64_t measured_at_once(const ImageShape& image);  // as many or, of large images, fewer
// Calls `measure` for chunks of the first `count` images, dealt to ranks; the last one repeats its
// last image behind the `real` ones. Gives its rows, [chunks][width]. Collective.
using MeasureChunk = std::function<std::vector<double>(const std::vector<std::int64_t>& images, std::int64_t real)>;
std::vector<double> measure_chunks(const std::vector<std::int64_t>& images, std::int64_t count, std::size_t width,
    comm::Communicator& comm, Logger& logger, const MeasureChunk& measure, std::int64_t at_once = kMeasuredAtOnce);
// Of the first `real` values.
double sum_of(const at::Tensor& values, std::int64_t real);

// What a VAE is trained on: pixels as x in [0, 1] and the posterior's noise, by image and epoch.
struct VaeInput {
  const vae::Backbone& backbone;
  const data::Dataset& dataset;
  std::uint64_t seed;
  bool binarise = false;  // a fresh Bernoulli draw of every pixel at every load
  struct Batch {
    at::Tensor x, eps;  // [b, C, H, W], [b, D] on the backbone's device
  };
  Batch load(const std::vector<std::int64_t>& images, const std::vector<std::uint32_t>& epochs,
      std::uint32_t attempt = 0) const;
};

struct Elbo {
  double log_likelihood = 0;  // nats an image
  std::vector<double> kl;     // by layer, nats an image
  std::int64_t num_images = 0;
  double value() const;  // log_likelihood - sum of kl
  nlohmann::json to_json() const;
};
// Of the split's first `count` images, one draw each. Collective.
Elbo measure_elbo(
    const VaeInput& input, data::Split split, std::int64_t count, comm::Communicator& comm, Logger& logger);

}  // namespace hebm::train
