// hebm_data derive: a data set's test images, each turned into something that the data set does not
// have.
#include <fmt/format.h>
#include <algorithm>
#include <string>
#include <vector>
#include "base/error.h"
#include "base/options.h"
#include "base/random.h"
#include "commands.h"
#include "dataset_output.h"

namespace hebm::data_tools {
namespace {

struct Settings {
  std::string from, kind = "rotate90";
  std::int64_t seed = 0;
  DatasetOutput output;
};

// A quarter turn to the left of every [side, side] plane: row r, column c comes from row c, column
// side - 1 - r.
void rotate(const ImageShape& shape, std::vector<std::uint8_t>& pixels) {
  const auto side = static_cast<std::size_t>(shape.width);
  std::vector<std::uint8_t> plane(side * side);
  for (std::size_t start = 0; start < pixels.size(); start += plane.size()) {
    std::copy_n(pixels.begin() + static_cast<std::ptrdiff_t>(start), plane.size(), plane.begin());
    for (std::size_t r = 0; r < side; ++r) {
      for (std::size_t c = 0; c < side; ++c) pixels[start + r * side + c] = plane[c * side + side - 1 - r];
    }
  }
}

// Every pixel uniform in 0 .. 255; image i's are keyed by (seed, its number in the data set).
void fill_noise(const ImageBatch& batch, std::uint64_t seed, std::vector<std::uint8_t>& pixels) {
  std::vector<float> uniform(static_cast<std::size_t>(batch.shape.size()));
  for (std::size_t i = 0; i < batch.index.size(); ++i) {
    fill_uniform(uniform, {seed, 0, Purpose::kAugment}, {.item = static_cast<std::uint32_t>(batch.index[i])});
    std::transform(uniform.begin(), uniform.end(), pixels.begin() + static_cast<std::ptrdiff_t>(i * uniform.size()),
        [](float u) { return static_cast<std::uint8_t>(u * 256.0f); });
  }
}

data::DatasetContent derived(const Settings& settings) {
  const data::Dataset set = data::Dataset::open(settings.from);
  const auto& members = set.members(data::Split::kTest);
  check(!members.empty(), ExitCode::kUsage, "{}: expected test images to derive others from, got none", settings.from);
  check(settings.kind != "rotate90" || set.shape().height == set.shape().width, ExitCode::kUsage,
      "{}: images of {} x {} cannot be turned by 90 degrees and keep their shape; choose another --kind", settings.from,
      set.shape().height, set.shape().width);
  check(members.size() * static_cast<std::uint64_t>(set.shape().size()) <= kMaxPixels, ExitCode::kUsage,
      "{}: expected at most {} pixels of test images, got {} images of {}", settings.from, kMaxPixels, members.size(),
      set.shape().size());
  const ImageBatch batch = set.read(members);
  data::DatasetContent content;
  content.shape = set.shape();
  content.pixels = batch.pixels;
  content.splits.assign(members.size(), static_cast<std::uint8_t>(data::Split::kTest));
  std::string what = "turned by 90 degrees to the left";
  if (settings.kind == "rotate90") {
    rotate(content.shape, content.pixels);
  } else if (settings.kind == "invert") {
    for (std::uint8_t& pixel : content.pixels) pixel = static_cast<std::uint8_t>(255 - pixel);
    what = "inverted (255 - pixel)";
  } else {
    fill_noise(batch, static_cast<std::uint64_t>(settings.seed), content.pixels);
    what = fmt::format("replaced by uniform noise of seed {}", settings.seed);
  }
  if (settings.kind != "noise" && !set.labels().empty()) {
    for (const auto member : members) content.labels.push_back(set.labels()[static_cast<std::size_t>(member)]);
    content.label_names = set.label_names();
  }
  content.source = fmt::format("test images {}, of images_hash {}: {}", what, set.images_hash(), set.source());
  return content;
}

}  // namespace

void run_derive(std::span<const std::string> args) {
  Settings settings;
  Options options("hebm_data derive --from D.h5 --kind rotate90|invert|noise --out FILE.h5",
      "Makes a data set of test images that D does not have, out of D's test images: turned by 90 degrees, "
      "inverted, or uniform "
      "noise in their place (without labels). Padding is turned, inverted and replaced like the rest. For "
      "`hebm_dist ood`.");
  options.add("from", &settings.from, "data set whose test images are taken", Show::kCommon);
  options.add_choice("kind", &settings.kind, {"rotate90", "invert", "noise"}, "what is made of them", Show::kCommon);
  settings.output.describe_out(options);
  options.add("seed", &settings.seed, "seed of the noise", {0}, Show::kCommon);
  options.add_check([&settings] { check(!settings.from.empty(), ExitCode::kUsage, "expected --from D.h5, got none"); });
  settings.output.run(options, args, [&] { return derived(settings); });
}

}  // namespace hebm::data_tools
