// hebm_data derive-attributes: a data set with attributes that follow from its labels and pixels,
// for labels at several latent layers.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <string>
#include <vector>
#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "commands.h"
#include "dataset_output.h"

namespace hebm::data_tools {
namespace {

constexpr std::size_t kBlock = 4096;  // images at a time

// Garments of Fashion-MNIST.
constexpr const char* kFashionGroups =
    "top=T-shirt/top,Pullover,Coat,Shirt;trousers=Trouser;dress=Dress;shoes=Sandal,Sneaker,Ankle boot;bag=Bag";

struct Settings {
  std::string from, groups;
  DatasetOutput output;
};

// Whether the labels that the text groups are the set's, so that it is meant for this set.
bool groups_fit(const std::string& text, std::vector<std::string> names) {
  std::vector<std::string> grouped;
  for (const std::string& part : split(text, ';')) {
    for (const std::string& label : split(part.substr(part.find('=') + 1), ',')) grouped.push_back(label);
  }
  std::sort(grouped.begin(), grouped.end());
  std::sort(names.begin(), names.end());
  return grouped == names;
}

// "NAME=LABEL,LABEL;NAME=LABEL": every label of the set in one group.
data::Attribute grouped(const std::string& text, const data::Dataset& set) {
  const auto& names = set.label_names();
  check(!set.labels().empty() && !names.empty(), ExitCode::kUsage, "{}: groups need a data set with named labels",
      set.path().string());
  data::Attribute out{"group", {}, data::Measure::kClass, 0, std::vector<std::int64_t>(names.size(), -1)};
  for (const std::string& part : split(text, ';')) {
    const auto equals = part.find('=');
    check(
        equals != std::string::npos && equals > 0, ExitCode::kUsage, "--groups: '{}': expected NAME=LABEL,LABEL", part);
    for (const std::string& label : split(part.substr(equals + 1), ',')) {
      const auto found = std::find(names.begin(), names.end(), label);
      check(found != names.end(), ExitCode::kUsage, "--groups: there is no label '{}'; the data set has {}", label,
          fmt::join(names, ", "));
      auto& category = out.of_label[static_cast<std::size_t>(found - names.begin())];
      check(category < 0, ExitCode::kUsage, "--groups: '{}' is in two groups", label);
      category = static_cast<std::int64_t>(out.categories.size());
    }
    out.categories.push_back(part.substr(0, equals));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    check(out.of_label[i] >= 0, ExitCode::kUsage, "--groups: '{}' is in no group", names[i]);
  }
  return out;
}

// All images' pixels, which stay as they are, and the values of each measure.
struct Measured {
  std::vector<std::uint8_t> pixels;
  std::vector<std::vector<double>> values;  // [measures][N]
};

Measured measure_all(const data::Dataset& set, const std::vector<data::Attribute>& attributes) {
  Measured out;
  out.values.resize(attributes.size());
  const auto size = static_cast<std::size_t>(set.shape().size());
  std::vector<std::int64_t> block;
  for (std::int64_t first = 0; first < set.size(); first += static_cast<std::int64_t>(kBlock)) {
    block.clear();
    for (std::int64_t i = first; i < std::min(set.size(), first + static_cast<std::int64_t>(kBlock)); ++i)
      block.push_back(i);
    const ImageBatch batch = set.read(block);
    for (std::size_t i = 0; i < block.size(); ++i) {
      const std::span<const std::uint8_t> image(batch.pixels.data() + i * size, size);
      for (std::size_t a = 0; a < attributes.size(); ++a) {
        if (attributes[a].measure != data::Measure::kClass)
          out.values[a].push_back(data::measured(attributes[a].measure, set.shape(), image));
      }
    }
    out.pixels.insert(out.pixels.end(), batch.pixels.begin(), batch.pixels.end());
  }
  return out;
}

data::DatasetContent derived(const Settings& settings) {
  const data::Dataset set = data::Dataset::open(settings.from);
  check(static_cast<std::uint64_t>(set.size()) * static_cast<std::uint64_t>(set.shape().size()) <= kMaxPixels,
      ExitCode::kUsage, "{}: expected at most {} pixels, got {} images of {}", settings.from, kMaxPixels, set.size(),
      set.shape().size());
  const auto& train = set.members(data::Split::kTrain);
  check(!train.empty(), ExitCode::kUsage, "{}: the thresholds are medians of the training images, and there are none",
      settings.from);
  data::DatasetContent content = set.content();
  content.attributes.clear();
  content.attribute_values.clear();

  std::string groups = settings.groups;
  if (groups.empty() && groups_fit(kFashionGroups, set.label_names())) groups = kFashionGroups;
  if (!groups.empty()) content.attributes.push_back(grouped(groups, set));
  content.attributes.push_back({"brightness", {"dark", "bright"}, data::Measure::kBrightness, 0, {}});
  content.attributes.push_back({"width", {"narrow", "wide"}, data::Measure::kWidth, 0, {}});
  content.attributes.push_back({"texture", {"plain", "patterned"}, data::Measure::kTexture, 0, {}});
  Measured measured = measure_all(set, content.attributes);
  content.pixels = std::move(measured.pixels);
  for (std::size_t a = 0; a < content.attributes.size(); ++a) {
    if (content.attributes[a].measure == data::Measure::kClass) continue;
    std::vector<double> of_train;
    for (const auto i : train) of_train.push_back(measured.values[a][static_cast<std::size_t>(i)]);
    content.attributes[a].threshold = data::median(std::move(of_train));
  }
  for (std::size_t i = 0; i < content.splits.size(); ++i) {
    for (std::size_t a = 0; a < content.attributes.size(); ++a) {
      const data::Attribute& attribute = content.attributes[a];
      const std::int64_t category = attribute.measure == data::Measure::kClass
                                        ? attribute.of_label[static_cast<std::size_t>(content.labels[i])]
                                    : measured.values[a][i] > attribute.threshold ? 1
                                                                                  : 0;
      content.attribute_values.push_back(static_cast<std::uint8_t>(category));
    }
  }
  return content;
}

}  // namespace

void run_derive_attributes(std::span<const std::string> args) {
  Settings settings;
  Options options("hebm_data derive-attributes --from D.h5 --out FILE.h5",
      "Makes a copy of D that also has attributes: group (of D's labels), brightness, width and texture, "
      "measured from the pixels, above "
      "or not above the median of the training images. Pixels and images_hash stay, so a latent cache of D "
      "goes on being valid. For "
      "`hebm_dist couple --labels group,brightness,width,texture`.");
  options.add("from", &settings.from, "data set, with named labels for the groups", Show::kCommon);
  options.add("groups", &settings.groups,
      "groups of labels, NAME=LABEL,LABEL;NAME=LABEL; default: of Fashion-MNIST top, trousers, dress, shoes "
      "and bag, of other sets none",
      Show::kCommon);
  settings.output.describe_out(options);
  options.add_check([&settings] { check(!settings.from.empty(), ExitCode::kUsage, "expected --from D.h5, got none"); });
  settings.output.run(options, args, [&] { return derived(settings); });
}

}  // namespace hebm::data_tools
