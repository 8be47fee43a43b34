#include "train/train_vae.h"
#include <fmt/format.h>
#include <algorithm>
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/run_command.h"
#include "vae/make_backbone.h"

namespace hebm::cli {
namespace {

class TrainVae : public RunCommand {
 public:
  TrainVae()
      : RunCommand("hebm_dist train-vae [--config FILE.ini] [--section.key VALUE ...]",
            "Trains the hierarchical VAE of Sec. 2.1 on all ranks. Result: RUN/vae/vae.safetensors (averaged "
            "weights).") {}
 private:
  void describe(Options& options) override {
    architecture_.describe(options);
    training_.describe(options);
  }

  // The data set need not be there yet.
  Lines plan() override {
    const auto backbone = planned_backbone(run_, architecture_);
    const auto parameters = backbone->params().size();
    Lines lines = describe_backbone(*backbone);
    lines.push_back(checkpoint_line(parameters, training_.keep, folder()));
    lines.push_back(weights_line(parameters, folder()));
    Memory memory{.trained = static_cast<double>(parameters),
        .values = map_values(backbone->params(), backbone->image_shape().height / 2),
        .images = static_cast<double>(training_.micro_batch)};
    if (std::filesystem::exists(dataset_path(run_))) {
      open();
      memory.data_bytes = kept_bytes(*dataset_);
      lines.push_back(
          steps_line("updates", train::vae_updates(training_, dataset_->members(data::Split::kTrain).size()),
              fmt::format("{} images in units of {}", training_.batch, training_.micro_batch)));
    }
    lines.push_back(memory_line(memory));
    return lines;
  }

  void open() override { dataset_.emplace(open_dataset(run_)); }
  std::filesystem::path folder() const { return RunPaths(run_).run / "vae"; }
  Folders folders(const Invocation&) const override { return {folder(), folder()}; }

  int work(Context& context) override {
    const auto seed = static_cast<std::uint64_t>(run_.seed);
    const auto backbone = vae::make_backbone(architecture_, dataset_->shape(), seed);
    backbone->params().to(context.device());
    const auto result = train::train_vae(training_, *backbone, *dataset_, seed,
        {folder(), fingerprint(context.options()), context.comm(), context.logger(), &context.stop()});
    if (result.outcome == train::Outcome::kDone) readjust_where_asked(run_, context);
    return exit_code(result.outcome, result.save_failed);
  }

  // Of the backbones' options, those of the chosen one.
  nlohmann::json fingerprint(const Options& options) const {
    auto out = fingerprint_of(options, run_, *dataset_);
    const auto chosen = architecture_.prefixes();
    for (const auto& [key, value] : options.fingerprint()) {
      const auto begins = [&key = key](const std::string& prefix) { return key.starts_with(prefix); };
      if (!begins("vae_train.") && std::none_of(chosen.begin(), chosen.end(), begins)) out.erase(key);
    }
    return out;
  }

  vae::BackboneOptions architecture_;
  train::VaeTrainOptions training_;
  std::optional<data::Dataset> dataset_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"train-vae">() { return std::make_unique<TrainVae>(); }

}  // namespace hebm::cli
