#include "data/label_column.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include "base/error.h"

namespace hebm::data {

std::vector<std::string> label_columns(const Dataset& set) {
  std::vector<std::string> out;
  if (!set.labels().empty()) out.push_back(kLabels);
  for (const Attribute& a : set.attributes()) out.push_back(a.name);
  return out;
}

LabelColumn label_column(const Dataset& set, const std::string& name) {
  const auto columns = label_columns(set);
  const bool known = std::find(columns.begin(), columns.end(), name) != columns.end();
  check(known, ExitCode::kUsage, "{}: the data set has no labels called '{}'; it has {}", set.path().string(), name,
      columns.empty() ? "none" : fmt::format("{}", fmt::join(columns, ", ")));
  for (std::size_t a = 0; name != kLabels && a < set.attributes().size(); ++a) {
    if (set.attributes()[a].name == name) return {name, set.attributes()[a].categories, set.attribute_values(a)};
  }
  LabelColumn out{name, set.label_names(), set.labels()};
  const std::int64_t last = *std::max_element(out.values.begin(), out.values.end());
  while (static_cast<std::int64_t>(out.categories.size()) <= last)
    out.categories.push_back(fmt::to_string(out.categories.size()));
  return out;
}

}  // namespace hebm::data
