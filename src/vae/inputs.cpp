#include "vae/inputs.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/lt.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"

namespace hebm::vae {
namespace {

// fill(row, key, counter) of every image's row of [B, row size] float32.
at::Tensor by_image(const at::Tensor& rows, const RandomKey& key, std::span<const std::int64_t> images,
    std::span<const std::uint32_t> visits, const auto& fill) {
  const auto size = static_cast<std::size_t>(rows.size(1));
  for (std::size_t b = 0; b < images.size(); ++b) {
    fill(std::span(rows.data_ptr<float>() + b * size, size), key,
        RandomCounter{.item = static_cast<std::uint32_t>(images[b]), .visit = visits[b]});
  }
  return rows;
}

}  // namespace

at::Tensor image_tensor(const ImageBatch& images) {
  check(static_cast<std::int64_t>(images.pixels.size()) == images.count * images.shape.size(), ExitCode::kRuntime,
      "image batch: {} bytes for {} images of {}", images.pixels.size(), images.count, images.shape.size());
  // The byte tensor only looks at the batch's memory; the conversion copies.
  auto* pixels = const_cast<std::uint8_t*>(images.pixels.data());
  const at::Tensor bytes = at::from_blob(pixels,
      {images.count, images.shape.channels, images.shape.height, images.shape.width}, at::TensorOptions(at::kByte));
  return bytes.to(at::kFloat).div_(255.0);
}

void expect_finite(const at::Tensor& x, std::int64_t first) {
  if (std::isfinite(x.sum(at::kDouble).item<double>())) return;
  const at::Tensor rows = x.flatten(1).sum(1, false, at::kDouble).to(at::kCPU);
  for (std::int64_t b = 0; b < rows.size(0); ++b)
    check(std::isfinite(rows.const_data_ptr<double>()[b]), ExitCode::kDiverged,
        "image {} holds NaN or Inf, which is no picture: the VAE's decoder diverges there; train it again, or take a "
        "lower temperature",
        first + b);
}

ImageBatch image_batch(const at::Tensor& x, std::int64_t first) {
  expect_finite(x, first);
  const at::Tensor bytes = x.mul(255.0).add_(0.5).clamp_(0.0, 255.0).to(at::kByte).to(at::kCPU).contiguous();
  ImageBatch out;
  out.shape = {x.size(1), x.size(2), x.size(3)};
  out.count = x.size(0);
  out.pixels.assign(bytes.const_data_ptr<std::uint8_t>(), bytes.const_data_ptr<std::uint8_t>() + bytes.numel());
  return out;
}

at::Tensor quantised(const at::Tensor& x, std::int64_t bits) {
  check(bits >= 1 && bits <= 8, ExitCode::kRuntime, "pixels of {} bits: 1 to 8 are possible", bits);
  if (bits == 8) return x;
  // 255 x is the byte but for rounding, which must not move it across a step.
  const at::Tensor bytes = (x * 255.0).round();
  return (bytes / static_cast<double>(1 << (8 - bits))).floor() / static_cast<double>((1 << bits) - 1);
}

at::Tensor binarised(const at::Tensor& x, const RandomKey& key, std::span<const std::int64_t> images,
    std::span<const std::uint32_t> visits) {
  check(static_cast<std::int64_t>(images.size()) == x.size(0) && images.size() == visits.size(), ExitCode::kRuntime,
      "binarisation: {} pictures, {} images, {} visits", x.size(0), images.size(), visits.size());
  const at::Tensor uniform =
      by_image(at::empty({x.size(0), x.numel() / std::max<std::int64_t>(1, x.size(0))}, at::kFloat), key, images,
          visits, [](auto&&... of_row) { fill_uniform(of_row...); });
  return uniform.view(x.sizes()).lt(x).to(x.scalar_type());
}

at::Tensor posterior_noise(const RandomKey& key, std::span<const std::int64_t> images,
    std::span<const std::uint32_t> visits, std::int64_t dim) {
  check(images.size() == visits.size(), ExitCode::kRuntime, "posterior noise: {} images, {} visits", images.size(),
      visits.size());
  return by_image(at::empty({static_cast<std::int64_t>(images.size()), dim}, at::kFloat), key, images, visits,
      [](auto&&... of_row) { fill_normal(of_row...); });
}

Posterior draw_posterior(const Backbone& backbone, const at::Tensor& x, std::uint64_t seed,
    std::span<const std::int64_t> images, std::span<const std::uint32_t> visits) {
  const RandomKey key{seed, 0, Purpose::kPosterior};
  return backbone.posterior(x, posterior_noise(key, images, visits, backbone.dim()).to(x.device()));
}

}  // namespace hebm::vae
