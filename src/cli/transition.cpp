#include "evaluate/transition.h"

#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"

namespace hebm::cli {
namespace {

Lines dry_run_lines(const evaluate::TransitionOptions& transition, std::int64_t steps, const Experiment& files,
                    const RunPaths& paths) {
  const auto& backbone = *files.vae.backbone;
  const auto& prior = *files.prior.prior;
  const auto states = static_cast<std::int64_t>(evaluate::recorded_steps(steps, transition.every).size());
  Lines lines = describe_backbone(backbone);
  lines.push_back(energy_nets_line(prior));
  lines.push_back(
      fmt::format("{} levels of {} Langevin steps, {} states of each decoded", prior.num_levels(), steps, states));
  lines.push_back(disk_line("grid", prior.num_levels(),
                            static_cast<double>(4 * transition.rows * states * backbone.image_shape().size()),
                            paths.samples()));
  lines.push_back(steps_line("chunks", (transition.num_images + transition.chunk - 1) / transition.chunk,
                             fmt::format("{} chains", transition.chunk)));
  const double sums = static_cast<double>(prior.num_levels() * states) * nets::FeatureNet::kFeatures *
                      (nets::FeatureNet::kFeatures + 1) * 2;
  lines.push_back(memory_line({.used = static_cast<double>(prior.num_parameters() + backbone.params().size() +
                                                           files.features.net->params().size()) +
                                       sums,
                               .values = chain_values(prior, backbone),
                               .images = static_cast<double>(transition.chunk),
                               .data_bytes = kept_bytes(files.dataset)}));
  return lines;
}

}  // namespace

int transition_command(Arguments args) {
  Options options("hebm_dist transition [--steps K] [--config FILE.ini] [--section.key VALUE ...]",
                  "Follows the Langevin chains of every level on all ranks (Fig. 6, 7): energy, displacement, score "
                  "and saturated pixels of every s-th "
                  "state. Result: RUN/results/transition-K.json, RUN/samples/transition-K-tT.png; prints a table.");
  RunOptions run;
  evaluate::TransitionOptions transition;
  prior::LangevinOptions langevin;
  std::int64_t steps = 0;
  bool json = false;
  run.describe(options);
  options.add("steps", &steps, "Langevin steps a level (paper: 30 and 300); 0: sample.steps", {0, 1000000},
              Show::kCommon);
  transition.describe(options);
  langevin.describe_drawing(options);
  options.add("json", &json, "print the result file instead of the table");
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const RunPaths paths(run);
  langevin = langevin.drawing();
  if (steps > 0) langevin.steps = steps;
  if (const auto missing = missing_for_experiment(run); action == Options::Action::kDryRun && !missing.empty()) {
    print_dry_run(options, missing);
    return 0;
  }
  const Experiment files = open_experiment(run);
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, dry_run_lines(transition, langevin.steps, files, paths));
    return 0;
  }
  Context context(run, options, "transition");
  files.to(context.device());
  note_other_langevin(options, langevin, files.prior, context.logger());
  const auto identity = experiment_identity(options, {"transition.", "langevin."}, langevin, run, files);
  const auto file = paths.results() / fmt::format("transition-{}.json", langevin.steps);
  const auto result = kept_result(file, identity, context, [&] {
    const evaluate::ExperimentInputs inputs{files.dataset, *files.vae.backbone, files.features, *files.prior.prior,
                                            langevin};
    return results::to_json(
        evaluate::transition(transition, inputs, context.comm(), context.logger(), paths.samples()));
  });
  if (context.comm().is_root())
    std::cout << (json ? result.dump(2) + "\n" : results::text_of(results::from_json<results::Transition>(result)))
              << std::flush;
  return 0;
}

}  // namespace hebm::cli
