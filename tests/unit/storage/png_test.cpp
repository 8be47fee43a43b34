#include "storage/png.h"
#include <gtest/gtest.h>
#include <png.h>
#include "storage/files.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

struct Decoded {
  std::int64_t width = 0, height = 0;
  int channels = 0;
  std::vector<std::uint8_t> pixels;
};

Decoded decode(std::span<const std::uint8_t> bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()), 0) << image.message;
  const bool rgb = (image.format & PNG_FORMAT_FLAG_COLOR) != 0;
  EXPECT_EQ(image.format & (PNG_FORMAT_FLAG_ALPHA | PNG_FORMAT_FLAG_LINEAR | PNG_FORMAT_FLAG_COLORMAP), 0u);
  Decoded out{image.width, image.height, rgb ? 3 : 1, {}};
  out.pixels.resize(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, out.pixels.data(), 0, nullptr), 0) << image.message;
  return out;
}

std::vector<std::uint8_t> all_values(std::size_t count) {
  std::vector<std::uint8_t> pixels(count);
  for (std::size_t i = 0; i < count; ++i) pixels[i] = static_cast<std::uint8_t>(i * 29 + 3);
  return pixels;
}

TEST(Png, EveryPixelComesBack) {
  for (const int channels : {1, 3}) {
    const auto pixels = all_values(static_cast<std::size_t>(17 * 31 * channels));
    const Decoded got = decode(encode_png(17, 31, channels, pixels));
    EXPECT_EQ(got.width, 17);
    EXPECT_EQ(got.height, 31);
    EXPECT_EQ(got.channels, channels);
    EXPECT_EQ(got.pixels, pixels);
  }
}

TEST(Png, WrongSizesAreErrors) {
  const auto pixels = all_values(12);
  expect_error(ExitCode::kRuntime, {}, [&] { encode_png(2, 3, 2, pixels); });
  expect_error(ExitCode::kRuntime, {}, [&] { encode_png(0, 3, 1, {}); });
  expect_error(ExitCode::kRuntime, {}, [&] { encode_png(-2, -3, 1, pixels); });
  expect_error(ExitCode::kRuntime, {}, [&] { encode_png(2'000'000, 1, 1, pixels); });
  expect_error(ExitCode::kRuntime, {}, [&] { encode_png(1'000'000, 1'000'000, 3, pixels); });
  expect_error(ExitCode::kRuntime, {"12 bytes of pixels, expected 6"}, [&] { encode_png(2, 3, 1, pixels); });
}

// The pixel of the grid at (y, x, c) by its definition, without the code's own arithmetic on
// pointers.
std::uint8_t grid_pixel(
    const ImageBatch& images, std::int64_t columns, int scale, std::int64_t y, std::int64_t x, std::int64_t c) {
  const ImageShape& shape = images.shape;
  const std::int64_t cell_h = shape.height * scale + 1, cell_w = shape.width * scale + 1;
  const std::int64_t in_y = y % cell_h, in_x = x % cell_w, image = y / cell_h * columns + x / cell_w;
  if (in_y == cell_h - 1 || in_x == cell_w - 1 || image >= images.count) return 128;
  const std::int64_t at = image * shape.size() + (c * shape.height + in_y / scale) * shape.width + in_x / scale;
  return images.pixels[static_cast<std::size_t>(at)];
}

TEST(Png, GridHasEveryImageEnlargedInItsPlace) {
  const TempFolder folder;
  for (const std::int64_t channels : {1, 3}) {
    for (const int scale : {1, 2, 3}) {
      ImageBatch images{{channels, 3, 5}, 5, all_values(static_cast<std::size_t>(5 * channels * 15)), {}};
      write_png_grid(folder / "grid.png", images, 3, scale);
      const std::string bytes = read_file(folder / "grid.png");
      const Decoded got = decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
      ASSERT_EQ(got.width, 3 * (5 * scale + 1) - 1);
      ASSERT_EQ(got.height, 2 * (3 * scale + 1) - 1);
      ASSERT_EQ(got.channels, channels);
      for (std::size_t i = 0; i < got.pixels.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        ASSERT_EQ(got.pixels[i],
            grid_pixel(images, 3, scale, at / channels / got.width, at / channels % got.width, at % channels))
            << "channels " << channels << " scale " << scale << " at " << i;
      }
    }
  }
}

TEST(Png, GridOfFewerImagesThanColumnsAndBadOnes) {
  const TempFolder folder;
  ImageBatch images{{1, 2, 2}, 2, all_values(8), {}};
  write_png_grid(folder / "grid.png", images, 10, 1);
  const std::string bytes = read_file(folder / "grid.png");
  EXPECT_EQ(decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}).width, 5);
  images.count = 3;
  expect_error(ExitCode::kRuntime, {}, [&] { write_png_grid(folder / "bad.png", images, 2); });
  images.count = 0;
  expect_error(ExitCode::kRuntime, {}, [&] { write_png_grid(folder / "bad.png", images, 2); });
  EXPECT_FALSE(fs::exists(folder / "bad.png"));
}

}  // namespace
}  // namespace hebm::storage::test
