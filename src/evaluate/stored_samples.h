// samples.h5 of `sample`, read back for the scores. From outside: Error(kCorrupt) naming the file
// where it is not what `sample` writes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include "base/types.h"

namespace hebm::evaluate {

struct StoredSamples {
  std::int64_t count = 0;
  double seconds_per_image = 0;  // of chains and decoding, the slowest rank's
  nlohmann::json identity;       // an object: what the images depend on
  std::string images_hash;       // of the pixels; "" in files from before it was there
};
StoredSamples read_stored_samples(const std::filesystem::path& file);

// Images first .. first + count - 1 of this shape, starting with earlier ones beyond the end (the
// padding of a last chunk). Error(kUsage): fewer than count images.
ImageBatch read_sample_images(
    const std::filesystem::path& file, const ImageShape& shape, std::int64_t first, std::int64_t count);

}  // namespace hebm::evaluate
