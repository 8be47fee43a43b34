// PNG by libpng: 8-bit grey or RGB.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>
#include "base/types.h"

namespace hebm::storage {

// pixels [H, W, C] interleaved, C = 1 or 3.
void write_png(const std::filesystem::path& path, std::int64_t width, std::int64_t height, int channels,
    std::span<const std::uint8_t> pixels);
// The same as bytes in memory (for reports).
std::vector<std::uint8_t> encode_png(
    std::int64_t width, std::int64_t height, int channels, std::span<const std::uint8_t> pixels);
// Images [N, C, H, W] as a grid, 1 pixel between them, each enlarged `scale` times; atomic.
void write_png_grid(const std::filesystem::path& path, const ImageBatch& images, std::int64_t columns, int scale = 2);

}  // namespace hebm::storage
