#include "train/online_source.h"
#include <c10/core/GradMode.h>
#include <utility>
#include "vae/inputs.h"

namespace hebm::train {

LatentSource online_source(const data::Dataset& dataset, data::Split split, const vae::Backbone& backbone,
    const MicroBatches& batches, std::uint64_t seed) {
  return {[=, &dataset, &backbone, rows = WorkImages(dataset.members(split), batches, seed)](const Work& work) {
    auto [positions, images, epochs] = rows.of(work);
    const at::Tensor x = vae::image_tensor(dataset.read(images)).to(backbone.params().device());
    return draw_latents(backbone, x, seed, std::move(images), std::move(epochs));
  }};
}

LatentBatch draw_latents(const vae::Backbone& backbone, const at::Tensor& x, std::uint64_t seed,
    std::vector<std::int64_t> images, std::vector<std::uint32_t> visits) {
  const c10::NoGradGuard no_grad;
  const at::Tensor u = vae::draw_posterior(backbone, x, seed, images, visits).u.to(at::kCPU).contiguous();
  LatentBatch out;
  out.count = u.size(0);
  out.dim = u.size(1);
  out.u.assign(u.const_data_ptr<float>(), u.const_data_ptr<float>() + u.numel());
  out.index = std::move(images);
  out.visit = std::move(visits);
  return out;
}

}  // namespace hebm::train
