#include "evaluate/labels.h"
#include <fmt/format.h>
#include "cli/experiment.h"

namespace hebm::cli {
namespace {

class Labels : public Making<LabelledExperiment, results::Labels> {
 public:
  Labels()
      : Making("hebm_dist labels [--name NAME] [--config FILE.ini] [--section.key VALUE ...]",
            "What a prior of `couple` knows and draws, on all ranks: accuracy of p(y | u_0) on test images, and of "
            "images drawn for each label as the classifier reads them (Fig. 5). Result: RUN/results/labels-NAME.json, "
            "RUN/samples/labels-NAME-*.png; prints a table.") {}
 private:
  void declare_result(Options& options) override {
    labels_.describe(options);
    experiment_.describe(options);
    drawing_.describe(options);
  }

  Cost cost() const override {
    const std::int64_t heads = std::ssize(prior_.prior->heads());
    return {.num_grids = heads,
        .grid_images = 40 * experiment_.columns,
        .num_chunks = chunks_of(experiment_.num_samples, experiment_.chunk),
        .chunk = experiment_.chunk,
        .each = fmt::format(
            "{} chains of {} levels of {} Langevin steps, {} times {} at t = 0, and {} candidates of all of it",
            experiment_.chunk, prior_.prior->num_levels() - 1, drawing_.langevin.steps, 1 + heads,
            drawing_.langevin.steps_at(0), labels_.candidates)};
  }

  std::string result_name() const override { return "labels-" + labels_.name; }

  results::Labels make(Context& context) const override {
    return evaluate::labels(experiment_, {labels_.guidance, labels_.candidates}, experiment_inputs(), context.comm(),
        context.logger(), RunPaths(run_).samples, labels_.name);
  }

  evaluate::LabelsOptions experiment_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"labels">() { return std::make_unique<Labels>(); }

}  // namespace hebm::cli
