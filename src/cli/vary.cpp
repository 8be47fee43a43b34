#include "evaluate/vary.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"

namespace hebm::cli {
namespace {

Lines dry_run_lines(const evaluate::VaryOptions& vary, std::int64_t num_sets, std::int64_t steps,
                    const Experiment& files, const RunPaths& paths) {
  const auto& backbone = *files.vae.backbone;
  const auto& prior = *files.prior.prior;
  const std::int64_t chains = vary.num_samples * vary.variations;
  Lines lines = describe_backbone(backbone);
  lines.push_back(energy_nets_line(prior));
  lines.push_back(disk_line("grid", num_sets,
                            static_cast<double>(4 * vary.rows * (1 + vary.variations) * backbone.image_shape().size()),
                            paths.samples()));
  lines.push_back(
      steps_line("chunks", num_sets * ((chains + vary.chunk - 1) / vary.chunk),
                 fmt::format("{} chains of {} levels of {} Langevin steps", vary.chunk, prior.num_levels(), steps)));
  const auto dim = static_cast<double>(backbone.dim());
  const double held = dim * static_cast<double>(vary.num_samples + vary.chunk * (1 + prior.num_levels()));
  lines.push_back(memory_line({.used = static_cast<double>(prior.num_parameters() + backbone.params().size() +
                                                           files.features.net->params().size()) +
                                       held,
                               .values = chain_values(prior, backbone),
                               .images = static_cast<double>(vary.chunk),
                               .data_bytes = kept_bytes(files.dataset)}));
  return lines;
}

}  // namespace

int vary_command(Arguments args) {
  Options options("hebm_dist vary [--layers LIST] [--config FILE.ini] [--section.key VALUE ...]",
                  "Keeps the u of some latent layers of samples and draws the others from the prior given these, on "
                  "all ranks (Fig. 2). Result: "
                  "RUN/results/vary.json (vary-LIST.json), RUN/samples/vary-*.png; prints a table.");
  RunOptions run;
  evaluate::VaryOptions vary;
  prior::LangevinOptions langevin;
  evaluate::FreeLayers layers;
  bool json = false;
  run.describe(options);
  options.add_list("layers", &layers, "layers that are drawn anew, 0: the top; default: each layer alone, then all",
                   {0}, Show::kCommon);
  vary.describe(options);
  langevin.describe_drawing(options);
  options.add("json", &json, "print the result file instead of the table");
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  langevin = langevin.drawing();
  const RunPaths paths(run);
  if (const auto missing = missing_for_experiment(run); action == Options::Action::kDryRun && !missing.empty()) {
    print_dry_run(options, missing);
    return 0;
  }
  const Experiment files = open_experiment(run);
  const auto num_layers = static_cast<std::int64_t>(files.vae.backbone->groups().size());
  auto sets = evaluate::default_free_layers(num_layers);
  std::string name = "vary";
  if (!layers.empty()) {
    evaluate::check_free_layers(layers, num_layers);
    std::sort(layers.begin(), layers.end());
    sets = {layers};
    name += "-" + evaluate::layers_name(layers, num_layers);
  }
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, dry_run_lines(vary, static_cast<std::int64_t>(sets.size()), langevin.steps, files, paths));
    return 0;
  }
  Context context(run, options, "vary");
  files.to(context.device());
  note_other_langevin(options, langevin, files.prior, context.logger());
  auto identity = experiment_identity(options, {"vary.", "langevin."}, langevin, run, files);
  identity["layers"] = sets;
  const auto result = kept_result(paths.results() / (name + ".json"), identity, context, [&] {
    const evaluate::ExperimentInputs inputs{files.dataset, *files.vae.backbone, files.features, *files.prior.prior,
                                            langevin};
    return results::to_json(evaluate::vary(vary, sets, inputs, context.comm(), context.logger(), paths.samples()));
  });
  if (context.comm().is_root())
    std::cout << (json ? result.dump(2) + "\n" : results::text_of(results::from_json<results::Vary>(result)))
              << std::flush;
  return 0;
}

}  // namespace hebm::cli
