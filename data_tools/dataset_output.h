// What the commands that make a data set share: where it goes, padding, and what they say about it.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include "base/options.h"
#include "base/types.h"
#include "data/dataset.h"

namespace hebm::data_tools {

constexpr std::int64_t kMaxSide = 16384;
constexpr std::uint64_t kMaxPixels = std::uint64_t{1} << 31;

struct DatasetOutput {
  std::string out;
  bool json = false;
  void describe_out(Options& options);  // --out; no value is Error(kUsage) when the options are checked
  // Adds --json, parses, and writes the data set (a file that already holds the same is left
  // alone); prints one line, or JSON. A dry run only says what it would do.
  void run(Options& options, std::span<const std::string> args, const std::function<data::DatasetContent()>& make);
};

// The shape of one-channel images of rows x columns in `pad` pixels a side (0: as they are). Images
// that are larger are Error(kUsage) naming `name`.
ImageShape padded_shape(const std::string& name, std::uint64_t rows, std::uint64_t columns, std::int64_t pad);
// Copies an image [rows, columns] into the middle of `to` of this shape, which is zero; an odd rest
// goes right and below.
void place_centred(std::span<const std::uint8_t> image, std::size_t rows, std::size_t columns, std::uint8_t* to,
    const ImageShape& shape);

}  // namespace hebm::data_tools
