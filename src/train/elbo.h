// What a VAE is trained on and judged by: the image as the model sees it, and the ELBO (Sec. 2.1).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>
#include "comm/communicator.h"
#include "data/dataset.h"
#include "vae/backbone.h"

namespace hebm::train {

// How pixels become x in [0, 1], by image and visit: the same for any number of ranks.
struct ImageInput {
  bool binarise = false;  // a fresh Bernoulli draw of every pixel at every load
  std::int64_t bits = 8;  // fewer: the lower ones are dropped
  // [b, C, H, W] float32 on the host.
  at::Tensor load(const data::Dataset& dataset, std::uint64_t seed, std::uint32_t attempt,
      const std::vector<std::int64_t>& images, const std::vector<std::uint32_t>& visits) const;
};

// ELBO of the test images [0, count) by fixed chunks, one draw each: the same numbers for any
// number of ranks. Collective.
struct Elbo {
  double log_likelihood = 0;  // nats an image
  std::vector<double> kl;     // by layer, nats an image
  std::int64_t num_images = 0;
  double value() const;  // log_likelihood - sum of kl
  nlohmann::json to_json() const;
};
Elbo measure_elbo(const vae::Backbone& backbone, const data::Dataset& dataset, data::Split split, std::int64_t count,
    std::uint64_t seed, comm::Communicator& comm, const ImageInput& input = {});

}  // namespace hebm::train
