// Attributes of images (Sec. 5.3, Fig. 4): one category an image and attribute, as a data set
// stores them, and how they are told from an image, so that generated images are judged by the same
// rule.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>
#include "base/choice.h"
#include "base/types.h"

namespace hebm::data {

// kClass: by the image's label; the others are measured from its pixels.
enum class Measure { kClass, kBrightness, kWidth, kTexture };
constexpr std::array<Choice<Measure>, 4> choices_of(Measure) {
  return {{{"class", Measure::kClass}, {"brightness", Measure::kBrightness}, {"width", Measure::kWidth},
      {"texture", Measure::kTexture}}};
}

struct Attribute {
  std::string name;
  std::vector<std::string> categories;
  // kClass: of_label[label]; else category 1 above the threshold, 0 below.
  Measure measure = Measure::kClass;
  double threshold = 0;
  std::vector<std::int64_t> of_label;
  bool operator==(const Attribute&) const = default;
};

inline constexpr std::uint8_t kUnlit = 25;  // pixels up to this are background

// Of one image, pixels [C, H, W]; a pixel is lit where any colour is above kUnlit, and its light is
// the mean of its colours. 0 without lit pixels.
//   brightness: mean light of the lit pixels, 0 .. 255;
//   width: standard deviation of the lit pixels' columns, by light, in pixels;
//   texture: standard deviation of the light of the lit pixels, 0 .. 255.
double measured(Measure measure, const ImageShape& shape, std::span<const std::uint8_t> pixels);

// Median of the values, the mean of the two in the middle.
double median(std::vector<double> values);

std::string attributes_text(const std::vector<Attribute>& attributes);  // JSON, as a data set stores it
// From a file: Error(kCorrupt) naming `where`. num_labels: of the data set, 0 without.
std::vector<Attribute> parse_attributes(const std::string& text, std::int64_t num_labels, const std::string& where);

}  // namespace hebm::data
