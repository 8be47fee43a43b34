#include "train/latent_source.h"
#include <ATen/ops/from_blob.h>
#include <memory>
#include "data/prefetch.h"

namespace hebm::train {

LatentSource cache_source(const data::LatentCache& cache, const MicroBatches& batches, std::uint64_t seed,
    std::int64_t first_update, std::int64_t total_updates) {
  // A batch: the next images of the epoch's permutation, which (seed, epoch) gives.
  const WorkImages rows(
      cache.num_images(), [&cache](std::int64_t position) { return cache.global_index(position); }, batches, seed);
  const RandomKey key{seed, 0, Purpose::kCacheDraw};
  const auto plan = [=, &cache](std::int64_t q) {  // of this rank's micro-batch q = 0, 1, ... since first_update
    const std::int64_t update = first_update + q / batches.local(), batch = batches.first + q % batches.local();
    const auto num_draws = static_cast<std::uint32_t>(cache.layout().key.draws);
    auto [positions, images, epochs] = rows.of({{update, total_updates, 0}, batch, batch + 1});
    std::vector<std::int64_t> draws;
    for (std::size_t b = 0; b < images.size(); ++b)
      draws.push_back(draw_below(num_draws, key, {.item = static_cast<std::uint32_t>(images[b]), .visit = epochs[b]}));
    return data::Prefetcher::Request{std::move(positions), std::move(draws), std::move(images), std::move(epochs)};
  };
  const std::int64_t count = (total_updates - first_update) * batches.local();
  const auto ahead = std::make_shared<data::Prefetcher>(cache, plan, 0, count, 4);
  return {[ahead](const Work& /*work*/) { return ahead->next(); }, [ahead] { return ahead->waited_s(); }};
}

prior::ChainIds ids_of(const LatentBatch& latents, std::uint64_t seed, std::uint32_t attempt) {
  return {{latents.index.begin(), latents.index.end()}, latents.visit, seed, attempt};
}

at::Tensor on_device(const LatentBatch& latents, at::Device device) {
  const at::Tensor u0 =
      at::from_blob(const_cast<float*>(latents.u.data()), {latents.count, latents.dim}, at::TensorOptions(at::kFloat));
  return u0.to(device, /*non_blocking=*/true);
}

}  // namespace hebm::train
