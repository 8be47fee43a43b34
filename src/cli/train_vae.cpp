#include "train/train_vae.h"
#include <fmt/format.h>
#include <algorithm>
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "train/vae_update.h"
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
    Lines lines = describe_backbone(*backbone);
    const bool has_statistics = backbone->batch_statistics({}, 0) != nullptr;
    training_.expect_possible(backbone->groups().size(), has_statistics, planned_ranks());
    const bool takes_its_share = training_.at_whole_batch(has_statistics);
    const std::int64_t images = takes_its_share ? training_.micro_batch : training_.together(backbone->image_shape());
    TrainingCost cost{folder(), backbone->params().size(), training_.keep, 0, training_.batch, training_.micro_batch,
        "", {.images = images, .work_bytes = train::vae_training_bytes(training_, *backbone, images)}};
    if (std::filesystem::exists(RunPaths(run_).dataset)) {
      open();
      cost.updates = train::vae_updates(training_, dataset_->members(data::Split::kTrain).size());
      cost.memory.data_bytes = kept_bytes(*dataset_);
    }
    add_training(lines, cost);
    if (takes_its_share) {
      lines.push_back(
          fmt::format("a rank takes its share of the batch at once: memory is that of {} ranks, a micro-batch each",
              training_.batch / training_.micro_batch));
    }
    return lines;
  }

  void open() override { dataset_.emplace(open_dataset(run_)); }
  std::filesystem::path folder() const { return (RunPaths(run_).run / storage::run_files::kVae).parent_path(); }
  Folders folders(const Invocation&) const override { return {folder(), folder()}; }

  int work(Context& context) override {
    const auto seed = static_cast<std::uint64_t>(run_.seed);
    const auto backbone = vae::make_backbone(architecture_, dataset_->shape(), seed);
    backbone->params().to(context.device());
    const auto result = train::train_vae(training_, *backbone, *dataset_, seed,
        {folder(), fingerprint(context.options()), context.comm(), context.logger(), &context.stop()});
    if (result.outcome == train::Outcome::kDone) readjust_where_asked(run_, context);
    return exit_code(result);
  }

  // Of the backbones' options, those of the chosen one.
  nlohmann::json fingerprint(const Options& options) const {
    auto out = fingerprint_of(options, run_, *dataset_);
    auto own = architecture_.prefixes();
    own.emplace_back("vae_train.");
    for (const auto& [key, value] : options.fingerprint()) {
      if (std::ranges::none_of(own, [&key = key](const std::string& prefix) { return key.starts_with(prefix); }))
        out.erase(key);
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
