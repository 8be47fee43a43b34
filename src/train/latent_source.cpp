#include "train/latent_source.h"
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <cstring>
#include "base/status.h"
#include "data/prefetch.h"
#include "vae/inputs.h"

namespace hebm::train {
namespace {

// Local micro-batch q (0, 1, ... since first_update) is unit first + q mod n of update first_update
// + q / n.
struct UnitClock {
  MicroBatches units;
  std::int64_t first_update;
  std::int64_t per_update() const { return units.last - units.first; }
  std::int64_t update(std::int64_t q) const { return first_update + q / per_update(); }
  std::int64_t first_member(std::int64_t q) const { return (units.first + q % per_update()) * units.size; }
};

class CacheSource final : public LatentSource {
 public:
  CacheSource(const data::LatentCache& cache, const MicroBatches& units, std::uint64_t seed, std::int64_t first_update,
      std::int64_t total_updates)
      : order_(cache.num_images(), units.batch, seed),
        clock_{units, first_update},
        draw_key_{seed, 0, Purpose::kCacheDraw},
        num_draws_(static_cast<std::uint32_t>(cache.layout().key.draws)),
        cache_(cache),
        prefetcher_(
            cache, [this](std::int64_t q) { return plan(q); }, 0, (total_updates - first_update) * clock_.per_update(),
            4) {}

  LatentBatch next() override { return prefetcher_.next(); }
  double waited_s() const override { return prefetcher_.waited_s(); }
 private:
  data::Prefetcher::Request plan(std::int64_t q) const {
    data::Prefetcher::Request request;
    for (const auto& place : order_.members(clock_.update(q), clock_.first_member(q), clock_.units.size)) {
      const auto image = static_cast<std::uint32_t>(cache_.global_index(place.position));
      request.positions.push_back(place.position);
      request.visits.push_back(place.visit);
      request.index.push_back(image);
      request.draws.push_back(draw_below(num_draws_, draw_key_, {.item = image, .visit = place.visit}));
    }
    return request;
  }

  data::BatchOrder order_;
  UnitClock clock_;
  RandomKey draw_key_;
  std::uint32_t num_draws_;
  const data::LatentCache& cache_;
  data::Prefetcher prefetcher_;
};

class OnlineSource final : public LatentSource {
 public:
  OnlineSource(const data::Dataset& dataset, data::Split split, const vae::Backbone& backbone,
      const MicroBatches& units, std::uint64_t seed, std::int64_t first_update)
      : dataset_(dataset),
        members_(dataset.members(split)),
        backbone_(backbone),
        order_(static_cast<std::int64_t>(members_.size()), units.batch, seed),
        clock_{units, first_update},
        seed_(seed) {}

  LatentBatch next() override {
    const c10::NoGradGuard no_grad;
    LatentBatch out;
    for (const auto& place : order_.members(clock_.update(next_), clock_.first_member(next_), clock_.units.size)) {
      out.index.push_back(members_[static_cast<std::size_t>(place.position)]);
      out.visit.push_back(place.visit);
    }
    ++next_;
    out.count = clock_.units.size;
    out.dim = backbone_.dim();
    const auto device = backbone_.params().device();
    const at::Tensor x = vae::image_tensor(dataset_.read(out.index)).to(device);
    const at::Tensor noise =
        vae::posterior_noise({seed_, 0, Purpose::kPosterior}, out.index, out.visit, out.dim).to(device);
    const at::Tensor u = backbone_.posterior(x, noise).u.to(at::kCPU).contiguous();
    out.u.resize(static_cast<std::size_t>(u.numel()));
    std::memcpy(out.u.data(), u.const_data_ptr<float>(), out.u.size() * sizeof(float));
    return out;
  }
 private:
  const data::Dataset& dataset_;
  std::vector<std::int64_t> members_;
  const vae::Backbone& backbone_;
  data::BatchOrder order_;
  UnitClock clock_;
  std::uint64_t seed_;
  std::int64_t next_ = 0;
};

}  // namespace

std::unique_ptr<LatentSource> cache_source(const data::LatentCache& cache, const MicroBatches& units,
    std::uint64_t seed, std::int64_t first_update, std::int64_t total_updates) {
  return std::make_unique<CacheSource>(cache, units, seed, first_update, total_updates);
}

prior::ChainIds ids_of(const LatentBatch& latents, std::uint64_t seed, std::uint32_t attempt) {
  prior::ChainIds ids{{}, latents.visit, seed, attempt};
  for (const auto image : latents.index) ids.item.push_back(static_cast<std::uint32_t>(image));
  return ids;
}

at::Tensor on_device(const LatentBatch& latents, at::Device device) {
  const at::Tensor u0 =
      at::from_blob(const_cast<float*>(latents.u.data()), {latents.count, latents.dim}, at::TensorOptions(at::kFloat));
  return u0.to(device, /*non_blocking=*/true);
}

std::unique_ptr<LatentSource> online_source(const data::Dataset& dataset, data::Split split,
    const vae::Backbone& backbone, const MicroBatches& units, std::uint64_t seed, std::int64_t first_update) {
  return std::make_unique<OnlineSource>(dataset, split, backbone, units, seed, first_update);
}

}  // namespace hebm::train
