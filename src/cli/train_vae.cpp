#include "train/train_vae.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "vae/hvae.h"

namespace hebm::cli {

int train_vae_command(Arguments args) {
  Options options("hebm_dist train-vae [--config FILE.ini] [--section.key VALUE ...]",
                  "Trains the hierarchical VAE of Sec. 2.1 on all ranks. Result: RUN/vae/vae.safetensors (averaged weights).");
  RunOptions run;
  vae::HvaeOptions hvae;
  train::VaeTrainOptions training;
  run.describe(options);
  hvae.describe(options);
  training.describe(options);
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const data::Dataset dataset = open_dataset(run);
  if (action == Options::Action::kDryRun) {
    const vae::Hvae backbone(hvae, dataset.shape(), 0);
    std::vector<std::string> lines = {fmt::format("parameters: {}", backbone.params().size()),
                                      fmt::format("latents: {} in {} layers", backbone.dim(), backbone.groups().size())};
    print_dry_run(options, lines);
    return 0;
  }
  Context context(run, options, "train-vae");
  vae::Hvae backbone(hvae, dataset.shape(), static_cast<std::uint64_t>(run.seed));
  nlohmann::json identity = product_identity(options, {"vae.", "vae_train."}, run.seed, dataset);
  train::VaeTrainer trainer(training, backbone, dataset, static_cast<std::uint64_t>(run.seed), context.run(), identity, context.comm(),
                            context.logger());
  return exit_code(trainer.run(&context.stop()), trainer.save_failed());
}

}  // namespace hebm::cli
