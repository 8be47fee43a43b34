#include "train/latent_source.h"
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <memory>
#include "data/prefetch.h"
#include "vae/inputs.h"

namespace hebm::train {

LatentSource cache_source(const data::LatentCache& cache, const MicroBatches& batches, std::uint64_t seed,
    std::int64_t first_update, std::int64_t total_updates) {
  const data::BatchOrder order(cache.num_images(), batches.batch, seed);
  const RandomKey key{seed, 0, Purpose::kCacheDraw};
  const auto plan = [=, &cache](std::int64_t q) {  // of this rank's micro-batch q = 0, 1, ... since first_update
    const std::int64_t update = first_update + q / batches.local(), batch = batches.first + q % batches.local();
    const auto num_draws = static_cast<std::uint32_t>(cache.layout().key.draws);
    data::Prefetcher::Request request;
    for (const auto& place : order.members(update, batch * batches.size, batches.size)) {
      const std::int64_t image = cache.global_index(place.position);
      const RandomCounter counter{.item = static_cast<std::uint32_t>(image), .visit = place.visit};
      request.positions.push_back(place.position);
      request.visits.push_back(place.visit);
      request.index.push_back(image);
      request.draws.push_back(draw_below(num_draws, key, counter));
    }
    return request;
  };
  const std::int64_t count = (total_updates - first_update) * batches.local();
  const auto ahead = std::make_shared<data::Prefetcher>(cache, plan, 0, count, 4);
  return {[ahead](const Work& /*work*/) { return ahead->next(); }, [ahead] { return ahead->waited_s(); }};
}

LatentSource online_source(const data::Dataset& dataset, data::Split split, const vae::Backbone& backbone,
    const MicroBatches& batches, std::uint64_t seed) {
  const auto& members = dataset.members(split);
  const data::BatchOrder order(std::ssize(members), batches.batch, seed);
  return {[=, &dataset, &members, &backbone, size = batches.size](const Work& work) {
    const c10::NoGradGuard no_grad;
    LatentBatch out;
    out.count = size;
    out.dim = backbone.dim();
    for (const auto& place : order.members(work.update.number, work.first * size, size)) {
      out.index.push_back(members[static_cast<std::size_t>(place.position)]);
      out.visit.push_back(place.visit);
    }
    const at::Tensor x = vae::image_tensor(dataset.read(out.index)).to(backbone.params().device());
    const at::Tensor u = vae::draw_posterior(backbone, x, seed, out.index, out.visit).u.to(at::kCPU).contiguous();
    out.u.assign(u.const_data_ptr<float>(), u.const_data_ptr<float>() + u.numel());
    return out;
  }};
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
