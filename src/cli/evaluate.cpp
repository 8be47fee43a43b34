#include "evaluate/evaluate.h"

#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/prior_rows.h"
#include "evaluate/priors.h"
#include "evaluate/stored_samples.h"
#include "prior/prior_file.h"

namespace hebm::cli {
namespace {

Lines dry_run_lines(const evaluate::EvaluateOptions& evaluation, const vae::Backbone& backbone,
                    const nets::LoadedFeatureNet& features, const prior::LoadedPrior& prior,
                    const data::Dataset& dataset, const RunPaths& paths) {
  const auto samples = paths.samples() / "diffusion.h5";
  Lines lines = describe_backbone(backbone);
  lines.push_back(fmt::format("classifier: {} parameters, {} features, accuracy {:.4f}", features.net->params().size(),
                              nets::FeatureNet::kFeatures, features.accuracy));
  lines.push_back(prior.prior ? energy_nets_line(*prior.prior)
                              : fmt::format("energy nets: {} is not there", paths.prior.string()));
  lines.push_back(fmt::format("samples: {} is {}", samples.string(),
                              std::filesystem::exists(samples) ? "there" : "not there yet: hebm_dist sample makes it"));
  lines.push_back(disk_line("result", 1, 64 << 10, paths.summary().parent_path()));
  const std::int64_t rows = 3, chunks = (evaluation.num_images + evaluation.chunk - 1) / evaluation.chunk;
  lines.push_back(steps_line("chunks", rows * chunks,
                             fmt::format("{} images: Gaussian prior, reconstructions, samples", evaluation.chunk)));
  const double trained_images = static_cast<double>(dataset.members(data::Split::kTrain).size());
  lines.push_back(memory_line({.used = static_cast<double>(backbone.params().size() + features.net->params().size()) +
                                       static_cast<double>(nets::FeatureNet::kFeatures) *
                                           (trained_images + 2.0 * static_cast<double>(evaluation.num_images)),
                               .values = map_values(backbone.params(), backbone.image_shape().height / 2),
                               .images = static_cast<double>(evaluation.chunk),
                               .data_bytes = kept_bytes(dataset)}));
  return lines;
}

// --all.
int compare_priors(const Options& options, const RunOptions& run, const evaluate::EvaluateOptions& evaluation,
                   const std::string& runs, bool is_plan, bool json) {
  const data::Dataset dataset = open_dataset(run);
  const RunPaths paths(run);
  require(paths.vae, "hebm_dist train-vae");
  require(paths.features, "hebm_dist train-features");
  const RunVae vae = open_vae(run);
  const auto features = nets::load_feature_net(paths.features);
  dataset.expect_shape(vae.backbone->image_shape(), "VAE");
  dataset.expect_shape(features.net->image_shape(), "classifier");
  const auto samples = find_prior_samples(run, run_folders(runs), vae.hash);
  if (is_plan) {
    Lines lines = describe_backbone(*vae.backbone);
    for (const auto& row : samples) lines.push_back(fmt::format("{}: {}", row.name, row.file.string()));
    print_dry_run(options, lines);
    return 0;
  }
  Context context(run, options, "evaluate");
  vae.backbone->params().to(context.device());
  features.net->params().to(context.device());
  nlohmann::json identity = {{"evaluate.num_images", evaluation.num_images},
                             {"evaluate.chunk", evaluation.chunk},
                             {"evaluate.neighbours", evaluation.neighbours},
                             {"evaluate.seed", evaluation.seed},
                             {"images_hash", dataset.images_hash()},
                             {"vae_hash", vae.hash},
                             {"features_hash", features.hash}};
  for (const auto& row : samples)
    identity["rows"].push_back({{"name", row.name}, {"about", results::to_json(row.about)}});
  const auto result = kept_result(paths.results() / "priors.json", identity, context, [&] {
    return results::to_json(evaluate::evaluate_priors(evaluation, dataset, *vae.backbone, features, samples,
                                                      context.comm(), context.logger()));
  });
  if (context.comm().is_root())
    std::cout << (json ? result.dump(2) + "\n" : results::text_of(results::from_json<results::Priors>(result)))
              << std::flush;
  return 0;
}

}  // namespace

int evaluate_command(Arguments args) {
  Options options("hebm_dist evaluate [--all [--runs DIR,DIR]] [--config FILE.ini] [--section.key VALUE ...]",
                  "Scores the Gaussian prior, reconstructions and the samples of `sample` on all ranks. Result: "
                  "RUN/results/summary.json; prints a table. With --all the samples of every prior, beside each other "
                  "(Table 1): RUN/results/priors.json.");
  RunOptions run;
  evaluate::EvaluateOptions evaluation;
  prior::LangevinOptions langevin;
  bool json = false, all = false;
  std::string runs;
  run.describe(options);
  options.add("all", &all,
              "one table of every prior.kind whose samples there are, with seconds and gradient evaluations",
              Show::kCommon);
  options.add("runs", &runs,
              "with --all: the samples of these run directories too, on the same VAE (T = 3 and T = 6, say): DIR,DIR",
              Show::kCommon);
  evaluation.describe(options);
  langevin.describe_drawing(options);
  options.add("json", &json, "print the result file instead of the table");
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  langevin = langevin.drawing();
  check(all || runs.empty(), ExitCode::kUsage, "--runs = {} belongs to --all", runs);
  if (all) return compare_priors(options, run, evaluation, runs, action == Options::Action::kDryRun, json);
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
  dataset.expect_shape(backbone->image_shape(), "VAE");
  dataset.expect_shape(features.net->image_shape(), "classifier");
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
  identity["langevin.steps"] = fmt::to_string(langevin.steps);
  identity["vae_hash"] = vae_hash;
  identity["features_hash"] = features.hash;
  identity["prior_hash"] = loaded.prior_hash;
  const auto samples = paths.samples() / "diffusion.h5";
  identity["samples_hash"] = std::filesystem::exists(samples) ? evaluate::read_stored_samples(samples).images_hash : "";
  const auto summary = kept_result(paths.summary(), identity, context, [&] {
    const evaluate::EvaluateInputs inputs{dataset, *backbone, features, samples, loaded.prior.get(), langevin};
    return results::to_json(evaluate::evaluate(evaluation, inputs, context.comm(), context.logger(), paths.samples()));
  });
  if (context.comm().is_root())
    std::cout << (json ? summary.dump(2) + "\n" : results::text_of(results::from_json<results::Summary>(summary)))
              << std::flush;
  return 0;
}

}  // namespace hebm::cli
