#include "train/train_features.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"

namespace hebm::cli {
namespace {

Lines dry_run_lines(const train::FeatureTrainOptions& training, const data::Dataset& dataset,
                    const std::filesystem::path& folder) {
  const nets::FeatureNet net(dataset.shape(), train::count_classes(dataset), 0);
  const auto parameters = net.params().size();
  const auto& image = net.image_shape();
  return {fmt::format("classifier: images [{}, {}, {}], {} features, {} classes, {} parameters", image.channels,
                      image.height, image.width, nets::FeatureNet::kFeatures, net.num_classes(), parameters),
          checkpoint_line(parameters, 2, folder), weights_line(parameters, folder),
          steps_line("updates", train::feature_updates(training, dataset.members(data::Split::kTrain).size()),
                     fmt::format("{} images in units of {}", training.batch, training.micro_batch)),
          memory_line({.trained = static_cast<double>(parameters),
                       .values = map_values(net.params(), image.height),
                       .images = static_cast<double>(training.micro_batch),
                       .data_bytes = kept_bytes(dataset)})};
}

}  // namespace

int train_features_command(Arguments args) {
  Options options("hebm_dist train-features [--config FILE.ini] [--section.key VALUE ...]",
                  "Trains the small classifier whose features fd_fmnist, KID, precision and recall use. Result: "
                  "RUN/features/features.safetensors.");
  RunOptions run;
  train::FeatureTrainOptions training;
  run.describe(options);
  training.describe(options);
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const data::Dataset dataset = open_dataset(run);
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, dry_run_lines(training, dataset, RunPaths(run).run / "features"));
    return 0;
  }
  Context context(run, options, "train-features", RunPaths(run).run / "features");
  const auto result = train::train_features(
      training, dataset, {context.run() / "features", {}, context.comm(), context.logger(), &context.stop()},
      context.device());
  return exit_code(result.outcome, result.save_failed);
}

}  // namespace hebm::cli
