// What `train` and `couple` share: options, u_0 from the cache or from images, and the artifact, a
// prior with averaged weights, which is made once for one fingerprint.
#pragma once
#include <memory>
#include <optional>
#include "cli/inputs.h"
#include "encode/encode.h"
#include "train/diffusion.h"

namespace hebm::cli {

class PriorTraining : public RunCommand {
 public:
  using RunCommand::RunCommand;
 protected:
  Folders folders(const Invocation&) const override { return {directory(), directory()}; }
  // All of a training, the inputs opened: train.cpp.
  int work(Context& context) override;

  virtual const PriorKind& kind() const { return default_prior_kind(); }
  virtual std::filesystem::path directory() const = 0;
  virtual nlohmann::json fingerprint(const Context& context) const = 0;
  // What the loop learns.
  virtual std::unique_ptr<train::Objective> objective(const train::PriorInputs& in, const train::TrainingRun& run) = 0;
  virtual bool writes_on_the_way() const { return false; }  // sample grids and weights (train.preview_every)
  std::uint64_t seed() const { return static_cast<std::uint64_t>(training_.seed >= 0 ? training_.seed : run_.seed); }
  // --dry-run.
  void describe_nets(Lines& lines) const;
  void describe_training(Lines& lines, const std::string& note) const;
  // The chains of a micro-batch, ", 3 levels of 30 Langevin steps each: 2e+06 gradients in all".
  std::string chains_note() const;
  // prior::relaxation_note; "" without chains.
  std::string relaxation_note() const {
    return kind().learns_by_chains ? prior::relaxation_note(prior_->schedule(), langevin_) : "";
  }
  bool reverse() const { return training_.reverse_updates(training_.updates) > 0 && !prior_->schedule().marginal; }

  prior::ScheduleOptions schedule_;
  prior::EnergyOptions energy_;
  prior::LangevinOptions langevin_;
  train::PriorTrainOptions training_;
  encode::EncodeOptions encoding_;
  std::optional<data::Dataset> dataset_;
  RunVae vae_;
  prior::EnergyOptions nets_;  // of prior_, as its file keeps them
  std::unique_ptr<prior::EnergyPrior> prior_;
 private:
  std::optional<data::LatentCache> open_cache(Context& context) const;
  void save(const std::filesystem::path& file, const train::TrainingRun& run) const;
  // Of the averaged nets. False where a file was not written.
  bool write_on_the_way(const train::TrainingRun& run, const train::TrainingLoop& loop, std::int64_t update) const;
  void write_preview(const std::filesystem::path& file) const;
};

}  // namespace hebm::cli
