// u_0 from the posterior on the fly, as the authors do (train.source = online).
#pragma once
#include <cstdint>
#include <vector>
#include "data/dataset.h"
#include "train/latent_source.h"
#include "vae/backbone.h"

namespace hebm::train {

// One draw of every image at every visit. References must outlive the source.
LatentSource online_source(const data::Dataset& dataset, data::Split split, const vae::Backbone& backbone,
    const MicroBatches& batches, std::uint64_t seed);

// One draw of q(u_0 | x) a row of x [images, C, H, W], on the host.
LatentBatch draw_latents(const vae::Backbone& backbone, const at::Tensor& x, std::uint64_t seed,
    std::vector<std::int64_t> images, std::vector<std::uint32_t> visits);

}  // namespace hebm::train
