// What images are told apart by: the data set's labels, under the name "labels", or one of its
// attributes, one category an image.
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include "data/dataset.h"

namespace hebm::data {

inline constexpr const char* kLabels = "labels";

struct LabelColumn {
  std::string name;
  std::vector<std::string> categories;
  std::vector<std::int64_t> values;  // [N], of image 0, 1, ...
};

// Labels without names are called "0", "1", ... A name that the set does not have is Error(kUsage)
// with those that it has.
LabelColumn label_column(const Dataset& set, const std::string& name);
std::vector<std::string> label_columns(const Dataset& set);  // their names

}  // namespace hebm::data
