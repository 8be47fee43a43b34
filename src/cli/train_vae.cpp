#include "train/train_vae.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "vae/make_backbone.h"

namespace hebm::cli {
namespace {

// The data set need not be there yet.
Lines dry_run_lines(const RunOptions& run, const train::VaeTrainOptions& training, const vae::Backbone& backbone) {
  const auto parameters = backbone.params().size();
  const std::filesystem::path folder = RunPaths(run).run / "vae";
  Lines lines = describe_backbone(backbone);
  lines.push_back(checkpoint_line(parameters, training.keep, folder));
  lines.push_back(weights_line(parameters, folder));
  Memory memory{.trained = static_cast<double>(parameters),
                .values = map_values(backbone.params(), backbone.image_shape().height / 2),
                .images = static_cast<double>(training.micro_batch)};
  if (std::filesystem::exists(dataset_path(run))) {
    const data::Dataset dataset = open_dataset(run);
    memory.data_bytes = kept_bytes(dataset);
    lines.push_back(steps_line("updates", train::vae_updates(training, dataset.members(data::Split::kTrain).size()),
                               fmt::format("{} images in units of {}", training.batch, training.micro_batch)));
  }
  lines.push_back(memory_line(memory));
  return lines;
}

}  // namespace

int train_vae_command(Arguments args) {
  Options options(
      "hebm_dist train-vae [--config FILE.ini] [--section.key VALUE ...]",
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
    print_dry_run(options, dry_run_lines(run, training, *planned_backbone(run, architecture)));
    return 0;
  }
  const data::Dataset dataset = open_dataset(run);
  Context context(run, options, "train-vae", RunPaths(run).run / "vae");
  const auto backbone = vae::make_backbone(architecture, dataset.shape(), static_cast<std::uint64_t>(run.seed));
  backbone->params().to(context.device());
  auto prefixes = architecture.prefixes();
  prefixes.emplace_back("vae_train.");
  const auto result = train::train_vae(training, *backbone, dataset, static_cast<std::uint64_t>(run.seed),
                                       {context.run() / "vae", product_identity(options, prefixes, run.seed, dataset),
                                        context.comm(), context.logger(), &context.stop()});
  if (result.outcome == train::Outcome::kDone) readjust_where_asked(run, context);
  return exit_code(result.outcome, result.save_failed);
}

}  // namespace hebm::cli
