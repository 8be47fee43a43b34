#include "evaluate/stored_samples.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>
#include "base/error.h"
#include "storage/hdf5.h"

namespace hebm::evaluate {
namespace {

constexpr std::size_t kImageDimensions = 4;

double number_of(const std::string& text, const std::filesystem::path& file) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && std::isfinite(value) && value >= 0,
      ExitCode::kCorrupt, "{}: seconds = '{}' is no number", file.string(), text.substr(0, 40));
  return value;
}

}  // namespace

StoredSamples read_stored_samples(const std::filesystem::path& file) {
  const auto h5 = storage::H5File::open(file);
  const auto info = h5.info("images");
  check(info.shape.size() == kImageDimensions && info.shape[0] > 0, ExitCode::kCorrupt,
      "{}: images are not [N, C, H, W] with N > 0", file.string());
  StoredSamples out;
  out.count = static_cast<std::int64_t>(info.shape[0]);
  out.seconds_per_image = number_of(h5.string_attribute("seconds"), file) / static_cast<double>(out.count);
  out.identity = nlohmann::json::parse(h5.string_attribute("identity"), nullptr, false);
  check(out.identity.is_object(), ExitCode::kCorrupt, "{}: the attribute 'identity' is no JSON object", file.string());
  if (h5.has_attribute("images_hash")) out.images_hash = h5.string_attribute("images_hash");
  return out;
}

ImageBatch read_sample_images(
    const std::filesystem::path& path, const ImageShape& shape, std::int64_t first, std::int64_t count) {
  const auto file = storage::H5File::open(path);
  const auto info = file.info("images");
  const std::vector<std::uint64_t> image = {static_cast<std::uint64_t>(shape.channels),
      static_cast<std::uint64_t>(shape.height), static_cast<std::uint64_t>(shape.width)};
  check(info.shape.size() == kImageDimensions && std::equal(image.begin(), image.end(), info.shape.begin() + 1),
      ExitCode::kCorrupt, "{}: images of another shape than the VAE's {} x {} x {}", path.string(), image[0], image[1],
      image[2]);
  const auto available = static_cast<std::int64_t>(info.shape[0]);
  ImageBatch batch;
  batch.shape = shape;
  batch.count = count;
  const std::int64_t start = std::min(first, available - count);
  check(start >= 0, ExitCode::kUsage, "evaluate.chunk = {} is more than the {} images of {}", count, available,
      path.string());
  batch.pixels.resize(static_cast<std::size_t>(count * shape.size()));
  file.read_rows("images", storage::H5Type::kU8, static_cast<std::uint64_t>(start), static_cast<std::uint64_t>(count),
      {reinterpret_cast<std::byte*>(batch.pixels.data()), batch.pixels.size()});
  // Row `first` comes to the front.
  std::rotate(batch.pixels.begin(), batch.pixels.begin() + (first - start) * shape.size(), batch.pixels.end());
  return batch;
}

}  // namespace hebm::evaluate
