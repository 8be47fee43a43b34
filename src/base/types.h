// Value types that travel the pipeline (host memory, no torch), from file to LatentBatch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hebm {

struct ImageShape {
  std::int64_t channels = 1, height = 32, width = 32;
  std::int64_t size() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

// Latent layer (group) i; 0 is the TOP layer (the paper's z_L). Flat u: layers in order, NCHW each.
struct LatentShape {
  std::int64_t channels = 0, height = 0, width = 0;
  std::int64_t size() const { return channels * height * width; }
  bool operator==(const LatentShape&) const = default;
};

struct ImageBatch {
  ImageShape shape;
  std::int64_t count = 0;
  std::vector<std::uint8_t> pixels;  // [count, C, H, W]
  std::vector<std::int64_t> index;   // [count] global image number
};

// Posterior draws u_0 of a micro-batch: u [count, D]; image and epoch key all its noise.
struct LatentBatch {
  std::int64_t count = 0, dim = 0;
  std::vector<float> u;
  std::vector<std::int64_t> index;
  std::vector<std::uint32_t> visit;
};

}  // namespace hebm
