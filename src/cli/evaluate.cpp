#include "evaluate/evaluate.h"

#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "prior/prior_file.h"
#include "report/report.h"

namespace hebm::cli {
namespace {

Lines dry_run_lines(const evaluate::EvaluateOptions& evaluation, const vae::Backbone& backbone, const nets::LoadedFeatureNet& features,
                    const prior::LoadedPrior& prior, const data::Dataset& dataset, const RunPaths& paths) {
  const auto samples = paths.samples() / "diffusion.h5";
  Lines lines = describe_backbone(backbone);
  lines.push_back(fmt::format("classifier: {} parameters, {} features, accuracy {:.4f}", features.net->params().size(), nets::FeatureNet::kFeatures,
                              features.accuracy));
  lines.push_back(prior.prior ? energy_nets_line(*prior.prior)
                              : fmt::format("energy nets: {} is not there", paths.prior.string()));
  lines.push_back(fmt::format("samples: {} is {}", samples.string(), std::filesystem::exists(samples) ? "there" : "not there yet: hebm_dist sample makes it"));
  lines.push_back(disk_line("result", 1, 64 << 10, paths.summary().parent_path()));
  const std::int64_t rows = 3, chunks = (evaluation.num_images + evaluation.chunk - 1) / evaluation.chunk;
  lines.push_back(steps_line("chunks", rows * chunks, fmt::format("{} images: Gaussian prior, reconstructions, samples", evaluation.chunk)));
  const double trained_images = static_cast<double>(dataset.members(data::Split::kTrain).size());
  lines.push_back(memory_line({.used = static_cast<double>(backbone.params().size() + features.net->params().size()) +
                                       static_cast<double>(nets::FeatureNet::kFeatures) * (trained_images + 2.0 * static_cast<double>(evaluation.num_images)),
                               .values = map_values(backbone.params(), backbone.image_shape().height / 2),
                               .images = static_cast<double>(evaluation.chunk),
                               .data_bytes = kept_bytes(dataset)}));
  return lines;
}

}  // namespace

int evaluate_command(Arguments args) {
  Options options("hebm_dist evaluate [--config FILE.ini] [--section.key VALUE ...]",
                  "Scores the Gaussian prior, reconstructions and the samples of `sample` on all ranks. Result: "
                  "RUN/results/summary.json; prints a table.");
  RunOptions run;
  evaluate::EvaluateOptions evaluation;
  prior::LangevinOptions langevin;
  bool json = false;
  run.describe(options);
  evaluation.describe(options);
  langevin.describe(options);
  options.add("json", &json, "print summary.json instead of the table");
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const data::Dataset dataset = open_dataset(run);
  const RunPaths paths(run);
  if (action == Options::Action::kDryRun && !(vae_is_there(run) && std::filesystem::exists(paths.features))) {
    print_dry_run(options, missing_lines({paths.vae, paths.features}));
    return 0;
  }
  require(paths.vae, "hebm_dist train-vae");
  require(paths.features, "hebm_dist train-features");
  const RunVae vae = open_vae(run);
  const auto& backbone = vae.backbone;
  const std::string& vae_hash = vae.hash;
  const auto features = nets::load_feature_net(paths.features);
  prior::LoadedPrior loaded;
  if (std::filesystem::exists(paths.prior)) loaded = prior::load_prior(paths.prior, backbone->groups(), vae_hash);
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, dry_run_lines(evaluation, *backbone, features, loaded, dataset, paths));
    return 0;
  }
  Context context(run, options, "evaluate");
  backbone->params().to(context.device());
  features.net->params().to(context.device());
  if (loaded.prior) loaded.prior->to(context.device());

  auto identity = product_identity(options, {"evaluate.", "langevin."}, run.seed, dataset);
  identity["vae_hash"] = vae_hash;
  identity["features_hash"] = features.hash;
  identity["prior_hash"] = loaded.prior_hash;
  const auto summary = kept_result(paths.summary(), identity, context, [&] {
    const evaluate::EvaluateInputs inputs{dataset, *backbone, features, paths.samples() / "diffusion.h5", loaded.prior.get(), langevin};
    return evaluate::evaluate(evaluation, inputs, context.comm(), context.logger(), paths.samples());
  });
  if (context.comm().is_root()) std::cout << (json ? summary.dump(2) + "\n" : report::summary_table(summary)) << std::flush;
  return 0;
}

}  // namespace hebm::cli
