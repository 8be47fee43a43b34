#include "evaluate/compose.h"

#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/label_options.h"

namespace hebm::cli {
namespace {

Lines dry_run_lines(const evaluate::ComposeOptions& compose, std::size_t num_steps,
                    const prior::LangevinOptions& langevin, const Experiment& files, const RunPaths& paths) {
  const auto& backbone = *files.vae.backbone;
  const auto& prior = *files.prior.prior;
  const auto steps = static_cast<std::int64_t>(num_steps);
  Lines lines = describe_backbone(backbone);
  lines.push_back(energy_nets_line(prior));
  lines.push_back(disk_line("grid", 1, static_cast<double>(4 * compose.rows * steps * backbone.image_shape().size()),
                            paths.samples()));
  lines.push_back(
      steps_line("chunks", (compose.num_samples + compose.chunk - 1) / compose.chunk,
                 fmt::format("{} chains, {} steps of {} levels of {} Langevin steps, {} at t = 0", compose.chunk, steps,
                             prior.num_levels(), langevin.steps, langevin.steps_at(0))));
  const double held = static_cast<double>(backbone.dim() * compose.chunk * (steps + 1 + prior.num_levels()));
  lines.push_back(memory_line({.used = static_cast<double>(prior.num_parameters() + backbone.params().size() +
                                                           files.features.net->params().size()) +
                                       held,
                               .values = chain_values(prior, backbone),
                               .images = static_cast<double>(compose.chunk),
                               .data_bytes = kept_bytes(files.dataset)}));
  return lines;
}

// What decides the result: heads and categories by name.
nlohmann::json steps_identity(const evaluate::ComposeSteps& steps, const prior::LabelHeads& heads) {
  auto out = nlohmann::json::array();
  for (const auto& step : steps) {
    auto asked = nlohmann::json::array();
    for (const auto& a : step) {
      asked.push_back(heads[a.head].name +
                      (a.category < 0 ? "" : "=" + heads[a.head].categories[static_cast<std::size_t>(a.category)]));
    }
    out.push_back(std::move(asked));
  }
  return out;
}

}  // namespace

int compose_command(Arguments args) {
  Options options(
      "hebm_dist compose [--name NAME] [--steps STEPS] [--config FILE.ini] [--section.key VALUE ...]",
      "Composes attributes step by step with a prior of `couple`, on all ranks: the layers of earlier steps' "
      "attributes are held, the others are "
      "drawn anew (Fig. 4). Result: RUN/results/compose-NAME.json, RUN/samples/compose-NAME.png; prints a table.");
  RunOptions run;
  LabelOptions label_options;
  evaluate::ComposeOptions compose;
  prior::LangevinOptions langevin;
  std::string steps_text;
  bool json = false;
  run.describe(options);
  label_options.describe(options);
  options.add("steps", &steps_text,
              "NAME or NAME=CATEGORY, with ',' in one step and '/' between steps, as in group=top/brightness,width; a "
              "name alone: all categories in turn; "
              "default: every label of the prior, those known to higher layers first",
              Show::kCommon);
  compose.describe(options);
  langevin.describe_drawing(options);
  options.add("json", &json, "print the result file instead of the table");
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  run.prior = labelled_prior(run, label_options.name).string();
  if (const auto missing = missing_for_experiment(run); action == Options::Action::kDryRun && !missing.empty()) {
    print_dry_run(options, missing);
    return 0;
  }
  const RunPaths paths(run);
  const Experiment files = open_experiment(run, "hebm_dist couple");
  expect_heads(files.prior, paths.prior);
  langevin = labelled_langevin(langevin.drawing(), label_options, files.prior);
  const auto& heads = files.prior.prior->heads();
  const auto steps = evaluate::parse_steps(steps_text, heads);
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, dry_run_lines(compose, steps.size(), langevin, files, paths));
    return 0;
  }
  Context context(run, options, "compose");
  files.to(context.device());
  note_other_langevin(options, langevin, files.prior, context.logger());
  auto identity = experiment_identity(options, {"compose.", "langevin."}, langevin, run, files);
  identity["steps"] = steps_identity(steps, heads);
  identity["attributes"] = data::attributes_text(files.dataset.attributes());
  identity.update(label_identity(label_options, langevin));
  const auto result =
      kept_result(paths.results() / fmt::format("compose-{}.json", label_options.name), identity, context, [&] {
        const evaluate::ExperimentInputs inputs{files.dataset, *files.vae.backbone, files.features, *files.prior.prior,
                                                langevin};
        return results::to_json(evaluate::compose(compose, steps, {label_options.guidance, label_options.candidates},
                                                  inputs, context.comm(), context.logger(), paths.samples(),
                                                  label_options.name));
      });
  if (context.comm().is_root())
    std::cout << (json ? result.dump(2) + "\n" : results::text_of(results::from_json<results::Compose>(result)))
              << std::flush;
  return 0;
}

}  // namespace hebm::cli
