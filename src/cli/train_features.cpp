#include "train/train_features.h"

#include "cli/command.h"
#include "cli/inputs.h"

namespace hebm::cli {

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
    print_dry_run(options, {});
    return 0;
  }
  Context context(run, options, "train-features");
  const auto result = train::train_features(training, dataset, context.run(), &context.stop(), context.comm(), context.logger());
  return exit_code(result.outcome, result.save_failed);
}

}  // namespace hebm::cli
