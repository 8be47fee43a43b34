#include "train/train_features.h"
#include <fmt/format.h>
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "train/micro_batches.h"

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
    static_cast<void>(train::MicroBatches(training_.batch, training_.micro_batch, 0, planned_ranks(),
        fmt::format("{0}.batch, {0}.micro_batch", training_.section)));
    const nets::FeatureNet net(dataset_->shape(), train::count_classes(*dataset_), 0);
    const auto& image = net.image_shape();
    Lines lines = {
        fmt::format("classifier: images [{}, {}, {}], {} features, {} classes, {} parameters", image.channels,
            image.height, image.width, nets::FeatureNet::kFeatures, net.num_classes(), net.params().size())};
    add_training(lines, {folder(), net.params().size(), training_.keep,
                            train::feature_updates(training_, dataset_->members(data::Split::kTrain).size()),
                            training_.batch, training_.micro_batch, "",
                            {.values = map_values(net.params(), image.height), .data_bytes = kept_bytes(*dataset_)}});
    return lines;
  }

  void open() override { dataset_.emplace(open_dataset(run_)); }
  std::filesystem::path folder() const { return (RunPaths(run_).run / storage::run_files::kFeatures).parent_path(); }
  Folders folders(const Invocation&) const override { return {folder(), folder()}; }

  int work(Context& context) override {
    return exit_code(train::train_features(
        training_, *dataset_, {folder(), {}, context.comm(), context.logger(), &context.stop()}, context.device()));
  }

  train::FeatureTrainOptions training_;
  std::optional<data::Dataset> dataset_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"train-features">() { return std::make_unique<TrainFeatures>(); }

}  // namespace hebm::cli
