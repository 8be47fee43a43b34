#include "train/train_features.h"
#include <fmt/format.h>
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/run_command.h"

namespace hebm::cli {
namespace {

class TrainFeatures : public RunCommand {
 public:
  TrainFeatures()
      : RunCommand("hebm_dist train-features [--config FILE.ini] [--section.key VALUE ...]",
            "Trains the small classifier whose features fd_fmnist, KID, precision and recall use. Result: "
            "RUN/features/features.safetensors.") {}
 private:
  void describe(Options& options) override { training_.describe(options); }

  Lines plan() override {
    open();
    const nets::FeatureNet net(dataset_->shape(), train::count_classes(*dataset_), 0);
    const auto parameters = net.params().size();
    const auto& image = net.image_shape();
    return {fmt::format("classifier: images [{}, {}, {}], {} features, {} classes, {} parameters", image.channels,
                image.height, image.width, nets::FeatureNet::kFeatures, net.num_classes(), parameters),
        checkpoint_line(parameters, 2, folder()), weights_line(parameters, folder()),
        steps_line("updates", train::feature_updates(training_, dataset_->members(data::Split::kTrain).size()),
            fmt::format("{} images in units of {}", training_.batch, training_.micro_batch)),
        memory_line({.trained = static_cast<double>(parameters),
            .values = map_values(net.params(), image.height),
            .images = static_cast<double>(training_.micro_batch),
            .data_bytes = kept_bytes(*dataset_)})};
  }

  void open() override { dataset_.emplace(open_dataset(run_)); }
  std::filesystem::path folder() const { return RunPaths(run_).run / "features"; }
  Folders folders(const Invocation&) const override { return {folder(), folder()}; }

  int work(Context& context) override {
    const auto result = train::train_features(
        training_, *dataset_, {folder(), {}, context.comm(), context.logger(), &context.stop()}, context.device());
    return exit_code(result.outcome, result.save_failed);
  }

  train::FeatureTrainOptions training_;
  std::optional<data::Dataset> dataset_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"train-features">() { return std::make_unique<TrainFeatures>(); }

}  // namespace hebm::cli
