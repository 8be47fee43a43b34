// Commands whose artifact is one result file: what they read, "already done", writing and printing
// it; and the one driver of all experiments on a trained prior (evaluate/experiment.h).
#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
#include "cli/drawing.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "comm/chunks.h"
#include "evaluate/experiment.h"
#include "nets/feature_net.h"

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
  // `seconds`, where the result has them and they are unknown, become those of this.
  virtual nlohmann::json make_json(const comm::Crew& crew) const = 0;
  virtual std::string table(const nlohmann::json& result) const = 0;

  std::filesystem::path file() const { return RunPaths(run_).results / (result_name() + ".json"); }
  std::filesystem::path product() const final { return file(); }

  DrawingOptions drawing_;
  std::optional<data::Dataset> dataset_;
  RunVae vae_;
  nets::LoadedFeatureNet features_;  // null where it is not read
  prior::LoadedPrior prior_;         // and so
 private:
  bool json_ = false;
};

// The command of an experiment, on data set, VAE, classifier and prior.
std::unique_ptr<Command> command_of(std::unique_ptr<evaluate::Experiment> experiment);
template <Literal kName> constexpr CommandRow experiment(std::string_view about) {
  return {kName.text, about, [] { return command_of(evaluate::make_experiment<kName>()); }};
}

}  // namespace hebm::cli
