// Where u_0 comes from (Alg. 1, line 3): the latent cache, or the posterior on the fly as the
// authors do.
#pragma once
#include <functional>
#include <memory>
#include "base/types.h"
#include "data/batch_order.h"
#include "data/dataset.h"
#include "data/latent_cache.h"
#include "prior/chains.h"
#include "train/training_loop.h"
#include "vae/backbone.h"

namespace hebm::train {

class LatentSource {
 public:
  virtual ~LatentSource() = default;
  // The local micro-batches in order: all of the first update, then of the next, ...
  virtual LatentBatch next() = 0;
  virtual double waited_s() const { return 0; }
};

// A source from this update on.
using MakeSource = std::function<std::unique_ptr<LatentSource>(const MicroBatches& batches, std::int64_t first_update)>;

// From update `first_update` on. References must outlive the source.
std::unique_ptr<LatentSource> cache_source(const data::LatentCache& cache, const MicroBatches& units,
    std::uint64_t seed, std::int64_t first_update, std::int64_t total_updates);
std::unique_ptr<LatentSource> online_source(const data::Dataset& dataset, data::Split split,
    const vae::Backbone& backbone, const MicroBatches& units, std::uint64_t seed, std::int64_t first_update);

// Who the images of a micro-batch are, for their noise.
prior::ChainIds ids_of(const LatentBatch& latents, std::uint64_t seed, std::uint32_t attempt);
// u_0 [B, D]; on the host it only looks at the batch's memory.
at::Tensor on_device(const LatentBatch& latents, at::Device device);

}  // namespace hebm::train
