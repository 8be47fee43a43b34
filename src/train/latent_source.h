// Where u_0 comes from (Alg. 1, line 3): the latent cache, or the posterior on the fly as the
// authors do (online_source.h).
#pragma once
#include <functional>
#include "base/types.h"
#include "data/latent_cache.h"
#include "prior/chains.h"
#include "train/micro_batches.h"

namespace hebm::train {

struct LatentSource {
  // One micro-batch. This rank's are asked for in order: all of the first update, then of the next.
  std::function<LatentBatch(const Work& work)> read;
  std::function<double()> waited_s = [] { return 0.0; };
};

// A source from this update on.
using MakeSource = std::function<LatentSource(const MicroBatches& batches, std::int64_t first_update)>;

// One of the image's stored draws of u_0, chosen by (seed, image, visit); images in the order of
// data::BatchOrder, read ahead. References must outlive the source.
LatentSource cache_source(const data::LatentCache& cache, const MicroBatches& batches, std::uint64_t seed,
    std::int64_t first_update, std::int64_t total_updates);

// Who the images of a micro-batch are, for their noise.
prior::ChainIds ids_of(const LatentBatch& latents, std::uint64_t seed, std::uint32_t attempt);
// u_0 [B, D]; on the host it only looks at the batch's memory.
at::Tensor on_device(const LatentBatch& latents, at::Device device);

}  // namespace hebm::train
