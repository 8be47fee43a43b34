// hebm_data inspect: what is in a data set, as text, JSON and a contact sheet.
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>
#include "base/error.h"
#include "base/options.h"
#include "base/printable.h"
#include "base/types.h"
#include "commands.h"
#include "data/dataset.h"
#include "storage/memory.h"
#include "storage/png.h"

namespace hebm::data_tools {
namespace {

using data::Dataset;
using data::Split;

constexpr std::int64_t kSheetColumns = 16, kMaxSheetRows = 32;
constexpr std::int64_t kImagesAtOnce = 1024;
constexpr std::size_t kMaxSource = 2000;

struct Statistics {
  double mean = 0, std = 0;  // of pixel / 255, padding included
  int min = 255, max = 0;
};

// Exact: counts of the 256 values, then two sums.
Statistics pixel_statistics(const Dataset& set) {
  std::array<std::uint64_t, 256> counts{};
  const std::int64_t at_once =
      std::clamp<std::int64_t>((std::int64_t{16} << 20) / set.shape().size(), 1, kImagesAtOnce);
  for (std::int64_t first = 0; first < set.size(); first += at_once) {
    std::vector<std::int64_t> index(static_cast<std::size_t>(std::min(at_once, set.size() - first)));
    std::iota(index.begin(), index.end(), first);
    for (const std::uint8_t value : set.read(index).pixels) ++counts[value];
  }
  Statistics result;
  double total = 0, sum = 0, sum_squares = 0;
  for (int value = 0; value < 256; ++value) {
    const auto count = static_cast<double>(counts[static_cast<std::size_t>(value)]);
    if (count == 0) continue;
    result.min = std::min(result.min, value);
    result.max = std::max(result.max, value);
    total += count;
    sum += count * value / 255.0;
    sum_squares += count * (value / 255.0) * (value / 255.0);
  }
  result.mean = sum / total;
  result.std = std::sqrt(std::max(0.0, sum_squares / total - result.mean * result.mean));
  return result;
}

// Images of a split by label: [number of labels].
std::vector<std::int64_t> counts_by_label(const Dataset& set, Split split) {
  std::vector<std::int64_t> counts(set.label_names().size(), 0);
  if (set.labels().empty()) return counts;
  for (const std::int64_t i : set.members(split)) {
    const auto label = static_cast<std::size_t>(set.labels()[static_cast<std::size_t>(i)]);
    if (label >= counts.size()) counts.resize(label + 1, 0);
    ++counts[label];
  }
  return counts;
}

std::string label_name(const Dataset& set, std::size_t label) {
  return label < set.label_names().size() ? set.label_names()[label] : fmt::format("{}", label);
}

// Row r shows the first images of label r (without labels: the first images); -1 leaves a place
// empty.
std::vector<std::int64_t> sheet_members(const Dataset& set) {
  std::vector<std::int64_t> members;
  const auto& all = set.members(set.members(Split::kTrain).empty() ? Split::kTest : Split::kTrain);
  if (set.labels().empty()) {
    members.assign(all.begin(), all.begin() + std::min<std::ptrdiff_t>(std::ssize(all), kSheetColumns * 8));
    return members;
  }
  std::vector<std::vector<std::int64_t>> rows(std::min<std::size_t>(
      static_cast<std::size_t>(*std::max_element(set.labels().begin(), set.labels().end())) + 1, kMaxSheetRows));
  for (const std::int64_t i : all) {
    const auto label = static_cast<std::size_t>(set.labels()[static_cast<std::size_t>(i)]);
    if (label < rows.size() && std::ssize(rows[label]) < kSheetColumns) rows[label].push_back(i);
  }
  for (auto& row : rows) {
    row.resize(kSheetColumns, -1);
    members.insert(members.end(), row.begin(), row.end());
  }
  return members;
}

void write_sheet(const Dataset& set, const std::string& path) {
  const std::vector<std::int64_t> members = sheet_members(set);
  ImageBatch sheet;
  sheet.shape = set.shape();
  sheet.count = std::ssize(members);
  sheet.index = members;
  const auto size = static_cast<std::size_t>(set.shape().size());
  sheet.pixels = storage::allocated<std::uint8_t>(members.size() * size, set.path().string());
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i] < 0) continue;
    const ImageBatch one = set.read({&members[i], 1});
    std::copy(one.pixels.begin(), one.pixels.end(), sheet.pixels.begin() + static_cast<std::ptrdiff_t>(i * size));
  }
  storage::write_png_grid(path, sheet, kSheetColumns, set.shape().height <= 64 ? 2 : 1);
}

// Training images of each category.
nlohmann::ordered_json describe_attributes(const Dataset& set) {
  auto out = nlohmann::ordered_json::array();
  for (std::size_t a = 0; a < set.attributes().size(); ++a) {
    const auto& attribute = set.attributes()[a];
    const auto values = set.attribute_values(a);
    std::vector<std::int64_t> counts(attribute.categories.size(), 0);
    for (const auto i : set.members(Split::kTrain))
      ++counts[static_cast<std::size_t>(values[static_cast<std::size_t>(i)])];
    nlohmann::ordered_json entry = {{"name", attribute.name}, {"measure", name_of(attribute.measure)}};
    if (attribute.measure != data::Measure::kClass) entry["threshold"] = attribute.threshold;
    for (std::size_t y = 0; y < counts.size(); ++y)
      entry["train"].push_back({{"category", attribute.categories[y]}, {"images", counts[y]}});
    out.push_back(std::move(entry));
  }
  return out;
}

nlohmann::ordered_json describe(const Dataset& set) {
  const Statistics statistics = pixel_statistics(set);
  nlohmann::ordered_json by_label = nlohmann::ordered_json::array();
  const auto train = counts_by_label(set, Split::kTrain), test = counts_by_label(set, Split::kTest);
  for (std::size_t label = 0; label < std::max(train.size(), test.size()); ++label)
    by_label.push_back({{"label", label}, {"name", label_name(set, label)},
        {"train", label < train.size() ? train[label] : 0}, {"test", label < test.size() ? test[label] : 0}});
  return {{"file", set.path().string()}, {"format", "hebm-dataset"}, {"version", 1}, {"source", set.source()},
      {"shape", {set.size(), set.shape().channels, set.shape().height, set.shape().width}},
      {"train", set.members(Split::kTrain).size()}, {"test", set.members(Split::kTest).size()}, {"labels", by_label},
      {"attributes", describe_attributes(set)}, {"pixel_mean", statistics.mean}, {"pixel_std", statistics.std},
      {"pixel_min", statistics.min}, {"pixel_max", statistics.max}, {"images_hash", set.images_hash()}};
}

void print_text(const nlohmann::ordered_json& d) {
  const auto& shape = d["shape"];
  std::cout << fmt::format("file         {}\nformat       {} version {}\nsource       {}\n",
      d["file"].get<std::string>(), d["format"].get<std::string>(), d["version"].get<int>(),
      printable(d["source"].get<std::string>(), kMaxSource));
  std::cout << fmt::format("images       {} of {} x {} x {} (channels, height, width), u8\n",
      shape[0].get<std::int64_t>(), shape[1].get<std::int64_t>(), shape[2].get<std::int64_t>(),
      shape[3].get<std::int64_t>());
  std::cout << fmt::format("pixels       mean {:.4f}, std {:.4f} of 0..1, padding included; values {} to {}\n",
      d["pixel_mean"].get<double>(), d["pixel_std"].get<double>(), d["pixel_min"].get<int>(),
      d["pixel_max"].get<int>());
  std::cout << fmt::format("images_hash  {}\n\n{:>5}  {:<20} {:>9} {:>9}\n", d["images_hash"].get<std::string>(),
      "label", "name", "train", "test");
  for (const auto& row : d["labels"])
    std::cout << fmt::format("{:>5}  {:<20} {:>9} {:>9}\n", row["label"].get<std::int64_t>(),
        printable(row["name"].get<std::string>()), row["train"].get<std::int64_t>(), row["test"].get<std::int64_t>());
  std::cout << fmt::format(
      "{:>5}  {:<20} {:>9} {:>9}\n", "", "all", d["train"].get<std::int64_t>(), d["test"].get<std::int64_t>());
  for (const auto& attribute : d["attributes"]) {
    std::string line = fmt::format("attribute {}", printable(attribute["name"].get<std::string>()));
    if (attribute.contains("threshold")) line += fmt::format(" (above {:.4f})", attribute["threshold"].get<double>());
    for (const auto& row : attribute["train"])
      line += fmt::format("  {} {}", printable(row["category"].get<std::string>()), row["images"].get<std::int64_t>());
    std::cout << fmt::format("{}\n", line);
  }
}

}  // namespace

void run_inspect(std::span<const std::string> args) {
  std::string path, png;
  bool json = false;
  Options options("hebm_data inspect FILE.h5 [--png SHEET.png] [--json]",
      "Prints shape, counts by split and label, pixel statistics and hash of a data set.");
  options.add_positional("FILE.h5", &path, "data set", true);
  options.add("png", &png, "write a contact sheet, one row a label", Show::kCommon);
  options.add("json", &json, "print JSON", Show::kCommon);
  if (options.parse(args) == Options::Action::kHelpShown) return;
  const Dataset set = Dataset::open(path);
  nlohmann::ordered_json description = describe(set);
  if (!png.empty()) {
    write_sheet(set, png);
    description["png"] = png;
  }
  if (json)
    std::cout << fmt::format("{}\n", description.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  else
    print_text(description);
}

}  // namespace hebm::data_tools
