// Inside of dataset.cpp and dataset_writer.cpp: the hash over all of a data set but its pixels.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>
#include "base/types.h"
#include "storage/hash.h"

namespace hebm::data {

// Each text goes in with its end, so that none can shift into the next; images_hash stands for the
// pixels.
inline std::string content_hash(const std::vector<std::string>& texts, const ImageShape& shape,
    std::span<const std::int64_t> labels, std::span<const std::uint8_t> splits, std::span<const std::uint64_t> hashes,
    const std::string& attributes, std::span<const std::uint8_t> attribute_values) {
  storage::Hasher hasher;
  for (const std::string& text : texts) hasher.update(storage::as_bytes(text.c_str(), text.size() + 1));
  const std::int64_t sides[] = {shape.channels, shape.height, shape.width};
  hasher.update(storage::as_bytes(sides, 3));
  hasher.update(storage::as_bytes(labels.data(), labels.size()));
  hasher.update(storage::as_bytes(splits.data(), splits.size()));
  hasher.update(storage::as_bytes(hashes.data(), hashes.size()));
  if (!attributes.empty()) {  // sets without have the hash that they always had
    hasher.update(storage::as_bytes(attributes.c_str(), attributes.size() + 1));
    hasher.update(storage::as_bytes(attribute_values.data(), attribute_values.size()));
  }
  return hasher.digest();
}

}  // namespace hebm::data
