#include "train/train_vae.h"

#include "cli/command.h"
#include "cli/inputs.h"
#include "vae/make_backbone.h"

namespace hebm::cli {

int train_vae_command(Arguments args) {
  Options options("hebm_dist train-vae [--config FILE.ini] [--section.key VALUE ...]",
                  "Trains the hierarchical VAE of Sec. 2.1 on all ranks. Result: RUN/vae/vae.safetensors (averaged weights).");
  RunOptions run;
  vae::BackboneOptions architecture;
  train::VaeTrainOptions training;
  run.describe(options);
  architecture.describe(options);
  training.describe(options);
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, describe_backbone(*planned_backbone(run, architecture)));
    return 0;
  }
  const data::Dataset dataset = open_dataset(run);
  Context context(run, options, "train-vae");
  const auto backbone = vae::make_backbone(architecture, dataset.shape(), static_cast<std::uint64_t>(run.seed));
  auto prefixes = architecture.prefixes();
  prefixes.emplace_back("vae_train.");
  nlohmann::json identity = product_identity(options, prefixes, run.seed, dataset);
  train::VaeTrainer trainer(training, *backbone, dataset, static_cast<std::uint64_t>(run.seed), context.run(), identity, context.comm(),
                            context.logger());
  const auto outcome = trainer.run(&context.stop());
  if (outcome == train::Outcome::kDone) readjust_where_asked(run, context);
  return exit_code(outcome, trainer.save_failed());
}

}  // namespace hebm::cli
