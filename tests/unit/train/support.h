// What the tests of train/ and encode/ share: a small labelled data set of pictures with a pattern
// by class.
#pragma once
#include <ATen/Parallel.h>
#include <filesystem>
#include <string>
#include "../nets/support.h"
#include "data/dataset.h"

namespace hebm::test {

// Nets this small are slower with several threads, on a busy machine by a hundred times.
struct OneThread {
  OneThread() { at::set_num_threads(1); }
};

// num_train + num_test images of side x side: class c of 4 is a bright quarter; noise from the
// image's number.
inline data::Dataset make_dataset(
    const std::filesystem::path& path, std::int64_t num_train, std::int64_t num_test, std::int64_t side) {
  data::DatasetContent content;
  content.shape = {1, side, side};
  content.source = "test";
  content.label_names = {"a", "b", "c", "d"};
  for (std::int64_t n = 0; n < num_train + num_test; ++n) {
    const std::int64_t label = (n * 7 + n / 4) % 4;
    content.labels.push_back(label);
    content.splits.push_back(n < num_train ? 0 : 1);
    for (std::int64_t y = 0; y < side; ++y) {
      for (std::int64_t x = 0; x < side; ++x) {
        const bool bright = (2 * y / side) * 2 + 2 * x / side == label;
        const auto noise = static_cast<std::int64_t>(draw_below(60, {3, 0, Purpose::kTest},
            {.item = static_cast<std::uint32_t>(n), .k = static_cast<std::uint32_t>(y * side + x)}));
        content.pixels.push_back(static_cast<std::uint8_t>((bright ? 190 : 0) + noise));
      }
    }
  }
  data::write_dataset(path, content);
  return data::Dataset::open(path);
}

}  // namespace hebm::test
