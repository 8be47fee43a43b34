#include "vae/inputs.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "base/error.h"

namespace hebm::vae {

at::Tensor image_tensor(const ImageBatch& images) {
  check(static_cast<std::int64_t>(images.pixels.size()) == images.count * images.shape.size(), ExitCode::kRuntime,
        "image batch: {} bytes for {} images of {}", images.pixels.size(), images.count, images.shape.size());
  // The byte tensor only looks at the batch's memory; the conversion copies.
  auto* pixels = const_cast<std::uint8_t*>(images.pixels.data());
  const at::Tensor bytes =
      at::from_blob(pixels, {images.count, images.shape.channels, images.shape.height, images.shape.width},
                    at::TensorOptions(at::kByte));
  return bytes.to(at::kFloat).div_(255.0);
}

at::Tensor posterior_noise(const RandomKey& key, std::span<const std::int64_t> images,
                           std::span<const std::uint32_t> visits, std::int64_t dim) {
  check(images.size() == visits.size(), ExitCode::kRuntime, "posterior noise: {} images, {} visits", images.size(),
        visits.size());
  at::Tensor noise = at::empty({static_cast<std::int64_t>(images.size()), dim}, at::kFloat);
  float* rows = noise.mutable_data_ptr<float>();
  const auto row_size = static_cast<std::size_t>(dim);
  for (std::size_t b = 0; b < images.size(); ++b) {
    fill_normal({rows + b * row_size, row_size}, key,
                {.item = static_cast<std::uint32_t>(images[b]), .visit = visits[b]});
  }
  return noise;
}

}  // namespace hebm::vae
