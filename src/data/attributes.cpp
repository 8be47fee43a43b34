#include "data/attributes.h"
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include "base/error.h"
#include "data/json_fields.h"

namespace hebm::data {
namespace {

constexpr std::size_t kMaxAttributes = 64, kMaxCategories = 256, kMaxNameBytes = 256, kMaxLabels = 65536;

}  // namespace

double measured(Measure measure, const ImageShape& shape, std::span<const std::uint8_t> pixels) {
  check(measure != Measure::kClass && pixels.size() == static_cast<std::size_t>(shape.size()), ExitCode::kRuntime,
      "attributes: measuring '{}' of {} pixels, the shape has {}", name_of(measure), pixels.size(), shape.size());
  const auto plane = static_cast<std::size_t>(shape.height * shape.width),
             width = static_cast<std::size_t>(shape.width);
  double weight = 0, count = 0, light2 = 0, column = 0, column2 = 0;
  for (std::size_t p = 0; p < plane; ++p) {
    double light = 0;
    bool lit = false;
    for (std::size_t i = p; i < pixels.size(); i += plane) {
      light += pixels[i];
      lit = lit || pixels[i] > kUnlit;
    }
    if (!lit) continue;
    light /= static_cast<double>(shape.channels);
    const auto x = static_cast<double>(p % width);
    count += 1;
    weight += light;
    light2 += light * light;
    column += light * x;
    column2 += light * x * x;
  }
  if (count == 0) return 0;
  const double mean = weight / count;
  if (measure == Measure::kBrightness) return mean;
  const double variance = measure == Measure::kWidth ? column2 / weight - (column / weight) * (column / weight)
                                                     : light2 / count - mean * mean;
  return std::sqrt(std::max(0.0, variance));
}

double median(std::vector<double> values) {
  check(!values.empty(), ExitCode::kRuntime, "median of no values");
  const std::size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle), values.end());
  const double upper = values[middle];
  if (values.size() % 2 == 1) return upper;
  return 0.5 * (upper + *std::max_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle)));
}

std::string attributes_text(const std::vector<Attribute>& attributes) {
  auto out = nlohmann::json::array();
  for (const Attribute& a : attributes) {
    nlohmann::json json = {{"name", a.name}, {"categories", a.categories}, {"measure", name_of(a.measure)}};
    if (a.measure == Measure::kClass) {
      json["of_label"] = a.of_label;
    } else {
      json["threshold"] = a.threshold;
    }
    out.push_back(std::move(json));
  }
  try {
    return out.dump();
  } catch (const nlohmann::json::exception&) {
    fail(ExitCode::kUsage, "attributes: expected names in UTF-8, got other bytes");
  }
}

std::vector<Attribute> parse_attributes(const std::string& text, std::int64_t num_labels, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  check(json.is_array() && json.size() <= kMaxAttributes, ExitCode::kCorrupt,
      "{}: expected an array of at most {} attributes", where, kMaxAttributes);
  std::vector<Attribute> out;
  for (const auto& entry : json) {
    Attribute a;
    a.name = json_string(entry, "name", kMaxNameBytes, where);
    a.categories = json_strings(json_array(entry, "categories", 1, kMaxCategories, where), kMaxNameBytes, where);
    const std::string text = json_string(entry, "measure", kMaxNameBytes, where);
    const auto measure = value_named<Measure>(text);
    const auto last = static_cast<std::int64_t>(a.categories.size()) - 1;
    if (measure == Measure::kClass) {
      for (const auto& y : json_array(entry, "of_label", 0, kMaxLabels, where))
        a.of_label.push_back(json_int_value(y, 0, last, where));
      check(static_cast<std::int64_t>(a.of_label.size()) == num_labels, ExitCode::kCorrupt,
          "{}: '{}' has categories for {} labels, the set has {}", where, a.name, a.of_label.size(), num_labels);
    } else {
      check(measure && last == 1, ExitCode::kCorrupt,
          "{}: '{}' has the measure '{}' and {} categories; expected class, or brightness, width "
          "or texture with 2",
          where, a.name, text, last + 1);
      a.measure = *measure;
      a.threshold = json_finite(entry, "threshold", where);
    }
    out.push_back(std::move(a));
  }
  return out;
}

}  // namespace hebm::data
