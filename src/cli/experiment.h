// Commands whose artifact is one result file: what they read, "already done", writing and printing
// it. A new experiment on a trained prior declares its options, says what --dry-run tells, and
// computes.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
#include "cli/drawing.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "evaluate/experiment.h"
#include "nets/feature_net.h"
#include "results/json.h"

namespace hebm::cli {

// Its result is made once for one fingerprint, and printed as a table or (--json) as it is.
class ResultCommand : public RunCommand {
 public:
  using RunCommand::RunCommand;
 protected:
  void describe(Options& options) final;  // declare_result(), then --json
  void resolve() override { drawing_.resolve(); }
  Lines plan() final;
  int work(Context& context) final;

  virtual void declare_result(Options& options) = 0;
  virtual std::string json_help() const { return "print the result file instead of the table"; }
  // Files that earlier commands make: without them --dry-run checks the options alone.
  virtual std::vector<std::filesystem::path> inputs() const = 0;
  void open_scoring();                          // data set, VAE and classifier, for images of one shape
  virtual Lines sizes() const = 0;              // --dry-run, with all inputs there
  virtual std::string result_name() const = 0;  // RUN/results/NAME.json
  // The options, the seed and hashes of all that is read.
  virtual nlohmann::json fingerprint(const Context& context) const;
  // Puts the nets on context.device().
  virtual void prepare(Context& context) const;
  virtual nlohmann::json make_json(Context& context) const = 0;
  virtual std::string table(const nlohmann::json& result) const = 0;

  std::filesystem::path file() const { return RunPaths(run_).results / (result_name() + ".json"); }

  DrawingOptions drawing_;
  std::optional<data::Dataset> dataset_;
  RunVae vae_;
  nets::LoadedFeatureNet features_;  // null where it is not read
  prior::LoadedPrior prior_;         // and so
 private:
  bool json_ = false;
};

// A Base (ResultCommand or of it) whose result is an R of results/. Its `seconds`, if any, are
// those of make().
template <class Base, class R> class Making : public Base {
 public:
  using Base::Base;
 protected:
  virtual R make(Context& context) const = 0;
 private:
  nlohmann::json make_json(Context& context) const final {
    const Timer timer;
    R out = make(context);
    if constexpr (requires { out.seconds; }) out.seconds = timer.seconds();
    return results::to_json(out);
  }
  std::string table(const nlohmann::json& result) const final { return text_of(results::from_json<R>(result)); }
};

// On data set, VAE, classifier and prior.
class Experiment : public ResultCommand {
 public:
  using ResultCommand::ResultCommand;
 protected:
  std::vector<std::filesystem::path> inputs() const override;
  void open() override;
  Lines sizes() const override;
  void prepare(Context& context) const override;

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
};

// An experiment on a prior that `couple` made: --name, couple.* and K at t = 0.
class LabelledExperiment : public Experiment {
 public:
  using Experiment::Experiment;
 protected:
  void resolve() override;
  void open() override;
  std::string prior_made_by() const override { return "hebm_dist couple"; }
  nlohmann::json fingerprint(const Context& context) const override;

  LabelOptions labels_;
};

}  // namespace hebm::cli
