#include "evaluate/transition.h"
#include <fmt/format.h>
#include "cli/experiment.h"

namespace hebm::cli {
namespace {

class Transition : public Making<Experiment, results::Transition> {
 public:
  Transition()
      : Making("hebm_dist transition [--steps K] [--config FILE.ini] [--section.key VALUE ...]",
            "Follows the Langevin chains of every level on all ranks (Fig. 6, 7): energy, displacement, score and "
            "saturated pixels of every s-th state. Result: RUN/results/transition-K.json, "
            "RUN/samples/transition-K-tT.png; prints a table.") {}
 private:
  void declare_result(Options& options) override {
    options.add(
        "steps", &steps_, "Langevin steps a level (paper: 30 and 300); 0: sample.steps", {0, 1000000}, Show::kCommon);
    transition_.describe(options);
    drawing_.describe(options);
  }

  void resolve() override {
    Experiment::resolve();
    if (steps_ > 0) drawing_.langevin.steps = steps_;
  }

  Cost cost() const override {
    const std::int64_t levels = prior_.prior->num_levels(), steps = drawing_.langevin.steps;
    const std::int64_t states = std::ssize(evaluate::recorded_steps(steps, transition_.every));
    constexpr std::int64_t kFeatures = nets::FeatureNet::kFeatures;
    return {.note = fmt::format("{} levels of {} Langevin steps, {} states of each decoded", levels, steps, states),
        .num_grids = levels,
        .grid_images = 4 * transition_.rows * states,
        .num_chunks = chunks_of(transition_.num_images, transition_.chunk),
        .chunk = transition_.chunk,
        .each = fmt::format("{} chains", transition_.chunk),
        .held = levels * states * kFeatures * (kFeatures + 1) * 2};
  }

  std::string result_name() const override { return fmt::format("transition-{}", drawing_.langevin.steps); }

  results::Transition make(Context& context) const override {
    return evaluate::transition(
        transition_, experiment_inputs(), context.comm(), context.logger(), RunPaths(run_).samples);
  }

  evaluate::TransitionOptions transition_;
  std::int64_t steps_ = 0;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"transition">() { return std::make_unique<Transition>(); }

}  // namespace hebm::cli
