// A tiny backbone, classifier and prior of random weights, and a data set of random images, for the
// experiments' tests.
#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "../support.h"
#include "base/options.h"
#include "base/random.h"
#include "comm/single_communicator.h"
#include "data/dataset.h"
#include "evaluate/experiment.h"
#include "vae/hvae.h"

namespace hebm::evaluate {

// What the data set knows: its labels, and both attributes.
inline prior::LabelHeads heads() {
  return {{"labels", {"a", "b", "c", "d"}, {0}}, {"brightness", {"dark", "bright"}, {1}},
      {"width", {"narrow", "wide"}, {1}}};
}

struct ImageCounts {
  std::uint32_t train = 36, test = 4;
};

class Trained {
 public:
  // gain = 0: f = 0, so that chains are those of the Gaussian terms.
  explicit Trained(std::int64_t num_levels, double gain = 1.0, prior::LabelHeads heads = {},
      const std::string& latents = "2x4,3x8", ImageCounts counts = {})
      : backbone(vae_options(latents), ImageShape{}, {.seed = 1}),
        dataset(make_dataset(folder / "data.h5", counts)),
        prior(energy_options(gain), backbone.groups(), prior::make_schedule(num_levels), 5, at::kFloat, 1 << 30,
            std::move(heads)) {
    features.net = std::make_unique<nets::FeatureNet>(ImageShape{}, 4, 3);
  }
  ExperimentInputs inputs(std::int64_t steps, LabelGuidance guidance = {}) const {
    prior::LangevinOptions langevin;
    langevin.steps = steps;
    return {{dataset, backbone, features}, prior, langevin, guidance, "x"};
  }
  // The experiment as its command opens it: "vary.rows=2" is an argument.
  static std::unique_ptr<Experiment> open(
      std::unique_ptr<Experiment> experiment, const std::vector<std::string>& arguments, ExperimentInputs in) {
    Options options("", "");
    experiment->describe(options);
    std::vector<std::string> words;
    for (const std::string& argument : arguments) words.push_back("--" + argument);
    options.parse(words);
    experiment->adapt(in.langevin);
    experiment->open(std::move(in));
    return experiment;
  }
  // Its result; pictures are in `folder`.
  nlohmann::json result_of(const Experiment& experiment) const {
    comm::SingleCommunicator comm;
    Logger logger(false);
    return experiment.make_json({{comm, logger}, folder.path()});
  }

  test::TempFolder folder;
  vae::Hvae backbone;
  data::Dataset dataset;
  nets::LoadedFeatureNet features;
  prior::EnergyPrior prior;
 private:
  static vae::HvaeOptions vae_options(const std::string& latents) {
    vae::HvaeOptions o;
    o.latents = latents;
    o.width = o.image_width = o.pixel_width = o.top_width = 4;
    return o;
  }
  static prior::EnergyOptions energy_options(double gain) {
    prior::EnergyOptions o;
    o.width = 4;
    o.embedding = 8;
    o.gain = gain;
    return o;
  }
  static data::Dataset make_dataset(const std::filesystem::path& path, ImageCounts counts) {
    const std::uint32_t num_images = counts.train + counts.test;
    data::DatasetContent content;
    content.pixels.resize(num_images * 32 * 32);
    for (std::uint32_t i = 0; i < content.pixels.size(); ++i) {
      content.pixels[i] = static_cast<std::uint8_t>(draw_below(256, {1, 0, Purpose::kTest}, {.item = i}));
    }
    content.splits.assign(num_images, 0);
    std::fill_n(content.splits.rbegin(), counts.test, std::uint8_t{1});
    content.label_names = {"a", "b", "c", "d"};
    content.attributes = {{"brightness", {"dark", "bright"}, data::Measure::kBrightness, 140.0, {}},
        {"width", {"narrow", "wide"}, data::Measure::kWidth, 9.2, {}}};
    for (std::uint32_t i = 0; i < num_images; ++i) {
      content.labels.push_back(i % 4);
      for (const auto& a : content.attributes) {
        const double value =
            data::measured(a.measure, content.shape, std::span(content.pixels).subspan(i * 32 * 32, 32 * 32));
        content.attribute_values.push_back(value > a.threshold ? 1 : 0);
      }
    }
    content.source = "random";
    data::write_dataset(path, content);
    return data::Dataset::open(path);
  }
};

}  // namespace hebm::evaluate
