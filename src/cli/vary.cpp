#include "evaluate/vary.h"
#include <fmt/format.h>
#include <algorithm>
#include "cli/experiment.h"

namespace hebm::cli {
namespace {

class Vary : public Making<Experiment, results::Vary> {
 public:
  Vary()
      : Making("hebm_dist vary [--layers LIST] [--config FILE.ini] [--section.key VALUE ...]",
            "Keeps the u of some latent layers of samples and draws the others from the prior given these, on all "
            "ranks (Fig. 2). Result: RUN/results/vary.json (vary-LIST.json), RUN/samples/vary-*.png; prints a table.") {
  }
 private:
  void declare_result(Options& options) override {
    options.add_list("layers", &layers_, "layers that are drawn anew, 0: the top; default: each layer alone, then all",
        {0}, Show::kCommon);
    vary_.describe(options);
    drawing_.describe(options);
  }

  void open() override {
    Experiment::open();
    sets_ = evaluate::default_free_layers(num_layers());
    if (layers_.empty()) return;
    prior::check_layers(layers_, num_layers());
    std::sort(layers_.begin(), layers_.end());
    sets_ = {layers_};
  }

  Cost cost() const override {
    const std::int64_t num_sets = std::ssize(sets_);
    const std::int64_t levels = prior_.prior->num_levels();
    return {.num_grids = num_sets,
        .grid_images = 4 * vary_.rows * (1 + vary_.variations),
        .num_chunks = num_sets * chunks_of(vary_.num_samples * vary_.variations, vary_.chunk),
        .chunk = vary_.chunk,
        .each =
            fmt::format("{} chains of {} levels of {} Langevin steps", vary_.chunk, levels, drawing_.langevin.steps),
        .held = vae_.backbone->dim() * (vary_.num_samples + vary_.chunk * (1 + levels))};
  }

  std::string result_name() const override {
    return layers_.empty() ? "vary" : "vary-" + evaluate::layers_name(layers_, num_layers());
  }

  nlohmann::json fingerprint(const Context& context) const override {
    auto out = Experiment::fingerprint(context);
    out["layers"] = sets_;
    return out;
  }

  results::Vary make(Context& context) const override {
    return evaluate::vary(vary_, sets_, experiment_inputs(), context.comm(), context.logger(), RunPaths(run_).samples);
  }

  std::int64_t num_layers() const { return std::ssize(vae_.backbone->groups()); }

  evaluate::VaryOptions vary_;
  evaluate::FreeLayers layers_;  // as asked for
  std::vector<evaluate::FreeLayers> sets_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"vary">() { return std::make_unique<Vary>(); }

}  // namespace hebm::cli
