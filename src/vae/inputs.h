// Images and noise as the backbone takes them. One image's noise depends on (key, image, visit)
// alone.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>
#include "base/random.h"
#include "base/types.h"
#include "vae/backbone.h"

namespace hebm::vae {

// u8 pixels -> [count, C, H, W] in [0, 1], float32 on the host.
at::Tensor image_tensor(const ImageBatch& images);
// NaN or Inf in what images are made of, [B, ...]: Error(kDiverged) naming the image; the first
// one's number is `first`.
void expect_finite(const at::Tensor& x, std::int64_t first = 0);
// x [B, C, H, W] in [0, 1], finite, anywhere -> u8 pixels, rounded: the way back.
ImageBatch image_batch(const at::Tensor& x, std::int64_t first = 0);
// floor(255 x / 2^(8 - bits)) / (2^bits - 1); bits in 1..8, 8: x itself. x = u8 / 255.
at::Tensor quantised(const at::Tensor& x, std::int64_t bits);
// Bernoulli draws of probability x [images, C, H, W], 0 or 1: image b's are keyed by (images[b],
// visits[b]).
at::Tensor binarised(const at::Tensor& x, const RandomKey& key, std::span<const std::int64_t> images,
    std::span<const std::uint32_t> visits);
// eps ~ N(0, I), [images, dim] float32 on the host: row b is keyed by (images[b], visits[b]).
at::Tensor posterior_noise(const RandomKey& key, std::span<const std::int64_t> images,
    std::span<const std::uint32_t> visits, std::int64_t dim);
// One draw of q(z | x) a row of x [images, C, H, W], of that noise.
Posterior draw_posterior(const Backbone& backbone, const at::Tensor& x, std::uint64_t seed,
    std::span<const std::int64_t> images, std::span<const std::uint32_t> visits);

}  // namespace hebm::vae
