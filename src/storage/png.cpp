#include "storage/png.h"
#include <png.h>
#include <algorithm>
#include "base/error.h"
#include "storage/files.h"

namespace hebm::storage {
namespace {

constexpr std::int64_t kMaxSide = 1'000'000;  // libpng's own limit
constexpr std::uint8_t kBackground = 128;

void check_format(std::int64_t width, std::int64_t height, int channels) {
  check(channels == 1 || channels == 3, ExitCode::kRuntime, "PNG with {} channels, expected 1 or 3", channels);
  check(width >= 1 && width <= kMaxSide && height >= 1 && height <= kMaxSide, ExitCode::kRuntime,
      "PNG of {} x {} pixels, each side must be 1 to {}", width, height, kMaxSide);
}

// Copies image `source` [C,H,W], each pixel `scale` times enlarged, to (top, left) of `canvas`
// [canvas_height, stride / C, C].
void place_image(const std::uint8_t* source, const ImageShape& shape, int scale, std::int64_t top, std::int64_t left,
    std::int64_t canvas_width, std::vector<std::uint8_t>& canvas) {
  for (std::int64_t y = 0; y < shape.height * scale; ++y) {
    std::uint8_t* out = canvas.data() + ((top + y) * canvas_width + left) * shape.channels;
    const std::uint8_t* row = source + (y / scale) * shape.width;
    for (std::int64_t x = 0; x < shape.width * scale; ++x) {
      for (std::int64_t c = 0; c < shape.channels; ++c) *out++ = row[c * shape.height * shape.width + x / scale];
    }
  }
}

}  // namespace

// libpng's simplified interface: its setjmp stays inside and jumps over no destructor of ours.
std::vector<std::uint8_t> encode_png(
    std::int64_t width, std::int64_t height, int channels, std::span<const std::uint8_t> pixels) {
  check_format(width, height, channels);
  const std::uint64_t expected = static_cast<std::uint64_t>(width) * height * channels;
  check(pixels.size() == expected, ExitCode::kRuntime, "PNG of {} x {} x {}: {} bytes of pixels, expected {}", width,
      height, channels, pixels.size(), expected);
  check(expected < 1ull << 31, ExitCode::kRuntime, "PNG of {} x {} x {} is over 2 GiB", width, height, channels);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::vector<std::uint8_t> out(PNG_IMAGE_PNG_SIZE_MAX(image));
  png_alloc_size_t size = out.size();
  const int ok = png_image_write_to_memory(&image, out.data(), &size, 0, pixels.data(), 0, nullptr);
  check(ok != 0, ExitCode::kRuntime, "PNG of {} x {} x {}: libpng: {}", width, height, channels, image.message);
  out.resize(size);
  return out;
}

void write_png(const std::filesystem::path& path, std::int64_t width, std::int64_t height, int channels,
    std::span<const std::uint8_t> pixels) {
  const std::vector<std::uint8_t> bytes = encode_png(width, height, channels, pixels);
  write_file_atomic(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void write_png_grid(const std::filesystem::path& path, const ImageBatch& images, std::int64_t columns, int scale) {
  const ImageShape& shape = images.shape;
  check(images.count >= 1 && columns >= 1 && scale >= 1 && scale <= 64, ExitCode::kRuntime,
      "{}: a grid of {} images in {} columns, {} times enlarged", path.string(), images.count, columns, scale);
  check_format(shape.width, shape.height, static_cast<int>(shape.channels));
  check(images.pixels.size() == static_cast<std::uint64_t>(images.count * shape.size()), ExitCode::kRuntime,
      "{}: {} bytes of pixels, expected {} images of {}", path.string(), images.pixels.size(), images.count,
      shape.size());
  columns = std::min(columns, images.count);
  const std::int64_t rows = (images.count + columns - 1) / columns;
  const std::int64_t cell_width = shape.width * scale + 1, cell_height = shape.height * scale + 1;
  const std::int64_t width = columns * cell_width - 1, height = rows * cell_height - 1;
  check_format(width, height, static_cast<int>(shape.channels));
  std::vector<std::uint8_t> canvas(static_cast<std::size_t>(width * height * shape.channels), kBackground);
  for (std::int64_t i = 0; i < images.count; ++i) {
    place_image(images.pixels.data() + i * shape.size(), shape, scale, i / columns * cell_height,
        i % columns * cell_width, width, canvas);
  }
  write_png(path, width, height, static_cast<int>(shape.channels), canvas);
}

}  // namespace hebm::storage
