// An experiment on a trained prior is a class in a file of its own, and a row in cli/commands.cpp.
// What experiments share: what they look at, who the images of a chunk are, what is seen in them.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include "base/options.h"
#include "base/status.h"
#include "base/text.h"
#include "comm/chunks.h"
#include "data/dataset.h"
#include "nets/feature_net.h"
#include "prior/label_heads.h"
#include "prior/langevin.h"
#include "prior/potential.h"
#include "results/json.h"
#include "results/scores.h"
#include "vae/backbone.h"

namespace hebm::evaluate {

// How chains are drawn for labels.
struct LabelGuidance {
  double guidance = 1.0;        // prior/label_heads.h
  std::int64_t candidates = 1;  // prior/reverse_chain.h
};

// Backbone, classifier and prior are on one device, where images are made and looked at.
struct ScoreInputs {
  const data::Dataset& dataset;
  const vae::Backbone& backbone;
  const nets::LoadedFeatureNet& features;
};
struct ExperimentInputs : ScoreInputs {
  const prior::EnergyPrior& prior;
  prior::LangevinOptions langevin;
  // Where the prior knows labels:
  LabelGuidance guidance{};
  std::string name{};  // of the prior
};

// What an experiment costs, for --dry-run.
struct Cost {
  std::string note = {};                        // a line of its own
  std::int64_t num_grids = 0, grid_images = 0;  // pictures, and bytes of one over those of an image
  std::int64_t num_chains = 0, chunk = 0;       // of each of `sets`, in chunks
  std::int64_t sets = 1;
  std::string each = {};  // what a chunk is
  std::int64_t held = 0;  // numbers beside the nets
};

// Where an experiment is made: by whom, and the folder of its pictures.
struct Place : comm::Crew {
  std::filesystem::path samples;
};

// In this order: describe, then adapt, open, then the others. cli/experiment.cpp drives it.
class Experiment {
 public:
  Experiment(std::string usage_of, std::string about_of, bool of_labels)
      : usage(std::move(usage_of)), about(std::move(about_of)), labelled(of_labels) {}
  virtual ~Experiment() = default;
  Experiment(const Experiment&) = delete;
  Experiment& operator=(const Experiment&) = delete;

  const std::string usage, about;                 // for --help: base/options.h
  const bool labelled;                            // on a prior of `couple`
  virtual void describe(Options& options) = 0;    // langevin.*, sample.steps and couple.* are the driver's
  virtual void adapt(prior::LangevinOptions&) {}  // where an option of its own is K
  // All that the inputs refer to must outlive this object. Error(kUsage) for what does not fit.
  void open(ExperimentInputs inputs) {
    inputs_.emplace(std::move(inputs));
    check_inputs();
  }
  virtual Cost cost() const = 0;
  virtual std::string result_name() const = 0;  // RUN/results/NAME.json
  // What decides the result beside the options and hashes of all that is read.
  virtual void add_fingerprint(nlohmann::json&) const {}
  // Collective; rank 0's is the result. `seconds`, if it has them, are the driver's.
  virtual nlohmann::json make_json(const Place& place) const = 0;
  virtual std::string table(const nlohmann::json& result) const = 0;
 protected:
  virtual void check_inputs() {}
  const ExperimentInputs& in() const { return *inputs_; }
 private:
  std::optional<ExperimentInputs> inputs_;
};

// One whose result is the struct R (results/json.h), with a table as text_of(R).
template <class R> class Making : public Experiment {
 public:
  Making(std::string usage_of, std::string about_of, bool of_labels = false)
      : Experiment(std::move(usage_of), std::move(about_of), of_labels) {}
  nlohmann::json make_json(const Place& place) const final { return results::to_json(make(place)); }
  std::string table(const nlohmann::json& result) const final { return text_of(results::from_json<R>(result)); }
 protected:
  virtual R make(const Place& place) const = 0;
};

// The experiment of a name; each is defined in the file of that name, or the program does not link.
template <Literal kName> std::unique_ptr<Experiment> make_experiment();

// Numbers of a split's images first .. first + count - 1, starting again beyond the end (the
// padding of a last chunk).
std::vector<std::int64_t> split_members(
    const data::Dataset& dataset, data::Split split, std::int64_t first, std::int64_t count);
// The same as images, [count, C, H, W] in [0, 1] on `device`.
at::Tensor split_images(
    const data::Dataset& dataset, data::Split split, std::int64_t first, std::int64_t count, at::Device device);

// Images of u_0 [B, D], and what the classifier of the scores makes of them.
struct Seen {
  at::Tensor x, features, classes;  // [B, C, H, W], [B, F], [B] int64
};
Seen see(const ScoreInputs& inputs, const at::Tensor& u0);
// What images show of a label, told without the prior: classes, and groups of them, by the
// classifier of the scores; measured attributes from the pixels, by the data set's own rule.
class LabelReader {
 public:
  // Error(kUsage) where the data set or the classifier does not know these categories.
  LabelReader(const prior::LabelHead& head, const data::Dataset& dataset, const nets::FeatureNet& classifier);
  // x [B, C, H, W] in [0, 1]; classes [B] int64: the classifier's -> [B] int64, all on x's device.
  at::Tensor read(const at::Tensor& x, const at::Tensor& classes) const;
  // Of the data set's images.
  const data::LabelColumn& column() const { return column_; }
 private:
  data::LabelColumn column_;
  data::Attribute attribute_;  // without a name: the data set's labels
};

results::Classifier classifier(const nets::LoadedFeatureNet& features);

// A picture of images [N, C, H, W]; makes its folder.
void write_grid(const std::filesystem::path& file, const at::Tensor& images, std::int64_t columns);

}  // namespace hebm::evaluate
