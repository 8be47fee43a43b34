#include "evaluate/labels.h"

#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/label_options.h"

namespace hebm::cli {
namespace {

Lines dry_run_lines(const evaluate::LabelsOptions& labels, const prior::LangevinOptions& langevin,
                    std::int64_t candidates, const Experiment& files, const RunPaths& paths) {
  const auto& backbone = *files.vae.backbone;
  const auto& prior = *files.prior.prior;
  const auto heads = static_cast<std::int64_t>(prior.heads().size());
  Lines lines = describe_backbone(backbone);
  lines.push_back(energy_nets_line(prior));
  lines.push_back(disk_line("grid", heads, static_cast<double>(40 * labels.columns * backbone.image_shape().size()),
                            paths.samples()));
  lines.push_back(steps_line(
      "chunks", (labels.num_samples + labels.chunk - 1) / labels.chunk,
      fmt::format("{} chains of {} levels of {} Langevin steps, {} times {} at t = 0, and {} candidates of all of it",
                  labels.chunk, prior.num_levels() - 1, langevin.steps, 1 + heads, langevin.steps_at(0), candidates)));
  lines.push_back(memory_line({.used = static_cast<double>(prior.num_parameters() + backbone.params().size() +
                                                           files.features.net->params().size()),
                               .values = chain_values(prior, backbone),
                               .images = static_cast<double>(labels.chunk),
                               .data_bytes = kept_bytes(files.dataset)}));
  return lines;
}

}  // namespace

int labels_command(Arguments args) {
  Options options("hebm_dist labels [--name NAME] [--config FILE.ini] [--section.key VALUE ...]",
                  "What a prior of `couple` knows and draws, on all ranks: accuracy of p(y | u_0) on test images, and "
                  "of images drawn for each label as "
                  "the classifier reads them (Fig. 5). Result: RUN/results/labels-NAME.json, "
                  "RUN/samples/labels-NAME-*.png; prints a table.");
  RunOptions run;
  LabelOptions label_options;
  evaluate::LabelsOptions labels;
  prior::LangevinOptions langevin;
  bool json = false;
  run.describe(options);
  label_options.describe(options);
  labels.describe(options);
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
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, dry_run_lines(labels, langevin, label_options.candidates, files, paths));
    return 0;
  }
  Context context(run, options, "labels");
  files.to(context.device());
  note_other_langevin(options, langevin, files.prior, context.logger());
  auto identity = experiment_identity(options, {"labels.", "langevin."}, langevin, run, files);
  identity["attributes"] = data::attributes_text(files.dataset.attributes());
  identity.update(label_identity(label_options, langevin));
  const auto result =
      kept_result(paths.results() / fmt::format("labels-{}.json", label_options.name), identity, context, [&] {
        const evaluate::ExperimentInputs inputs{files.dataset, *files.vae.backbone, files.features, *files.prior.prior,
                                                langevin};
        return results::to_json(evaluate::labels(labels, {label_options.guidance, label_options.candidates}, inputs,
                                                 context.comm(), context.logger(), paths.samples(),
                                                 label_options.name));
      });
  if (context.comm().is_root())
    std::cout << (json ? result.dump(2) + "\n" : results::text_of(results::from_json<results::Labels>(result)))
              << std::flush;
  return 0;
}

}  // namespace hebm::cli
