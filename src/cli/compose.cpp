#include <fmt/format.h>
#include "cli/experiment.h"
#include "evaluate/labels.h"

namespace hebm::cli {
namespace {

// What decides the result: heads and categories by name.
nlohmann::json steps_fingerprint(const evaluate::ComposeSteps& steps, const prior::LabelHeads& heads) {
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

class Compose : public Making<LabelledExperiment, results::Compose> {
 public:
  Compose()
      : Making("hebm_dist compose [--name NAME] [--steps STEPS] [--config FILE.ini] [--section.key VALUE ...]",
            "Composes attributes step by step with a prior of `couple`, on all ranks: the layers of earlier steps' "
            "attributes are held, the others are drawn anew (Fig. 4). Result: RUN/results/compose-NAME.json, "
            "RUN/samples/compose-NAME.png; prints a table.") {}
 private:
  void declare_result(Options& options) override {
    labels_.describe(options);
    options.add("steps", &steps_text_,
        "NAME or NAME=CATEGORY, with ',' in one step and '/' between steps, as in group=top/brightness,width; a name "
        "alone: all categories in turn; default: every label of the prior, those known to higher layers first",
        Show::kCommon);
    compose_.describe(options);
    drawing_.describe(options);
  }

  void open() override {
    LabelledExperiment::open();
    steps_ = evaluate::parse_steps(steps_text_, prior_.prior->heads());
  }

  Cost cost() const override {
    const std::int64_t steps = std::ssize(steps_);
    const std::int64_t levels = prior_.prior->num_levels();
    return {.num_grids = 1,
        .grid_images = 4 * compose_.rows * steps,
        .num_chunks = chunks_of(compose_.num_samples, compose_.chunk),
        .chunk = compose_.chunk,
        .each = fmt::format("{} chains, {} steps of {} levels of {} Langevin steps, {} at t = 0", compose_.chunk, steps,
            levels, drawing_.langevin.steps, drawing_.langevin.steps_at(0)),
        .held = vae_.backbone->dim() * compose_.chunk * (steps + 1 + levels)};
  }

  std::string result_name() const override { return "compose-" + labels_.name; }

  nlohmann::json fingerprint(const Context& context) const override {
    auto out = LabelledExperiment::fingerprint(context);
    out["steps"] = steps_fingerprint(steps_, prior_.prior->heads());
    return out;
  }

  results::Compose make(Context& context) const override {
    auto out = evaluate::compose(compose_, steps_, {labels_.guidance, labels_.candidates}, experiment_inputs(),
        context.comm(), context.logger(), RunPaths(run_).samples / fmt::format("compose-{}.png", labels_.name));
    out.name = labels_.name;
    return out;
  }

  evaluate::ComposeOptions compose_;
  std::string steps_text_;
  evaluate::ComposeSteps steps_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"compose">() { return std::make_unique<Compose>(); }

}  // namespace hebm::cli
