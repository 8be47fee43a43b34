// An experiment on a trained prior: it reads data set, VAE, classifier and prior, and makes one
// result file. A new one declares its options, says what --dry-run tells, and computes.
#pragma once
#include "cli/drawing.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/run_command.h"
#include "evaluate/experiment.h"
#include "nets/feature_net.h"

namespace hebm::cli {

class Experiment : public ResultCommand {
 public:
  using ResultCommand::ResultCommand;
 protected:
  std::vector<std::filesystem::path> inputs() const override;
  void resolve() override { drawing_.resolve(); }
  void open() override;
  Lines sizes() const override;
  void prepare(Context& context) const override;
  nlohmann::json fingerprint(const Context& context) const override;

  // The command that makes the prior.
  virtual std::string prior_made_by() const { return "hebm_dist train"; }
  evaluate::ExperimentInputs experiment_inputs() const {
    return {{*dataset_, *vae_.backbone, features_}, *prior_.prior, drawing_.langevin};
  }
  // What an experiment costs, for --dry-run.
  struct Cost {
    std::string note = {};                        // a line of its own
    std::int64_t num_grids = 0, grid_images = 0;  // pictures, and bytes of one over those of an image
    std::int64_t num_chunks = 0, chunk = 0;       // chains of a chunk
    std::string each = {};                        // what a chunk is
    std::int64_t held = 0;                        // numbers beside the nets
  };
  virtual Cost cost() const = 0;

  DrawingOptions drawing_;
  std::optional<data::Dataset> dataset_;
  RunVae vae_;
  nets::LoadedFeatureNet features_;
  prior::LoadedPrior prior_;
};

// An experiment on a prior that `couple` made: --name, couple.* and K at t = 0.
class LabelledExperiment : public Experiment {
 public:
  using Experiment::Experiment;
 protected:
  void resolve() override { run_.prior = labelled_prior(run_, labels_.name).string(); }
  void open() override;
  std::string prior_made_by() const override { return "hebm_dist couple"; }
  nlohmann::json fingerprint(const Context& context) const override;

  LabelOptions labels_;
};

}  // namespace hebm::cli
