// Several attributes step by step (Sec. 5.3, Fig. 4, compose_steps.h). What images show is read
// again after every step.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <map>
#include "evaluate/chunks.h"
#include "evaluate/compose_steps.h"
#include "evaluate/features.h"
#include "results/experiments.h"

namespace hebm::evaluate {
namespace {

// Of a chunk's images after each step.
struct Composed {
  std::vector<at::Tensor> features;  // [images, F]
  // [3, asked]: images that show an asked label; that did so after its own step too; that show the
  // same as after its own step.
  std::vector<at::Tensor> counts;
  at::Tensor pictures;  // [images of the grid, steps, C, H, W]
  static void tensors(auto& c, auto& visit) { visit(c.features, c.counts, c.pictures); }
};
enum Count : std::int64_t { kRight, kKept, kSame };

// "": all in turn.
std::string category_of(const prior::LabelHeads& heads, const Asked& asked) {
  return asked.category < 0 ? "" : heads[asked.head].categories[static_cast<std::size_t>(asked.category)];
}

struct ComposeOptions {
  std::int64_t num_samples = 1000, chunk = 100;
  std::int64_t rows = 10;  // of the grid
  std::int64_t seed = 1;
};

class Composition {
 public:
  Composition(const ComposeOptions& options, const ComposeSteps& steps, const ExperimentInputs& inputs)
      : options_(options),
        steps_(steps),
        in_(inputs),
        heads_(inputs.prior.heads()),
        chain_(inputs.prior, inputs.backbone, inputs.langevin),
        features_(steps.size(), FeatureSums(nets::FeatureNet::kFeatures)) {
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      for (const Asked& asked : steps_[s]) {
        asked_.push_back({asked.head, s});
        readers_.emplace_back(heads_[asked.head], inputs.dataset, *inputs.features.net);
      }
    }
    for (std::size_t s = 0; s < steps_.size(); ++s) counts_.push_back(at::zeros({3, std::ssize(asked_)}, at::kLong));
  }

  Composed draw(const Chunk& chunk) const {
    const c10::NoGradGuard no_grad;
    std::vector<std::int64_t> categories;
    for (std::int64_t c = chunk.first; c < chunk.first + chunk.size; ++c) {
      const auto of_chain = asked_of_chain(steps_, heads_, c);
      categories.insert(categories.end(), of_chain.begin(), of_chain.end());
    }
    const at::Tensor asked =
        at::tensor(categories, at::kLong).view({chunk.size, -1}).to(in_.backbone.params().device());
    const auto states = compose_chains(chain_, heads_, steps_, asked, in_.guidance,
        prior::chain_ids(static_cast<std::uint64_t>(options_.seed), chunk.first, chunk.size));
    Composed out;
    std::vector<at::Tensor> pictures, shows, wanted, after_own;  // shows: [images, asked], by step
    for (const at::Tensor& u0 : states) {
      const Seen seen = see(in_, u0);
      std::vector<at::Tensor> read;
      for (const LabelReader& reader : readers_) read.push_back(reader.read(seen.x, seen.classes));
      out.features.push_back(chunk.keep(seen.features));
      shows.push_back(chunk.keep(at::stack(read, 1)));
      pictures.push_back(chunk.keep_below(options_.rows, seen.x).clone());
    }
    for (std::size_t a = 0; a < asked_.size(); ++a) {
      wanted.push_back(chunk.keep(asked).select(1, static_cast<std::int64_t>(asked_[a].head)));
      after_own.push_back(shows[asked_[a].step].select(1, static_cast<std::int64_t>(a)));
    }
    const at::Tensor want = at::stack(wanted, 1), then = at::stack(after_own, 1);
    for (const at::Tensor& show : shows) {
      const at::Tensor right = show.eq(want);
      out.counts.push_back(at::stack({right.sum(0), right.logical_and(then.eq(want)).sum(0), show.eq(then).sum(0)}));
    }
    out.pictures = at::stack(pictures, 1);
    return out;
  }

  void add(const Composed& composed) {
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      features_[s].add(composed.features[s]);
      counts_[s].add_(composed.counts[s]);
    }
    pictures_.push_back(composed.pictures);
  }

  std::vector<results::ComposeStep> steps(const Moments& real) const {
    std::vector<results::ComposeStep> out;
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      results::ComposeStep step{static_cast<std::int64_t>(s) + 1, {}, held_layers(steps_, s, heads_), {}};
      for (const Asked& a : steps_[s]) {
        const auto& head = heads_[a.head];
        step.asked.push_back({head.name, head.layers, category_of(heads_, a)});
      }
      for (std::size_t a = 0; a < asked_.size(); ++a) step.labels.push_back(label(s, a));
      step.fd_fmnist = frechet_distance(real, features_[s].moments());
      out.push_back(std::move(step));
    }
    return out;
  }

  // What the rows of the grid were asked for.
  std::vector<std::map<std::string, std::string>> rows() const {
    std::vector<std::map<std::string, std::string>> out(
        static_cast<std::size_t>(std::min(options_.rows, options_.num_samples)));
    for (std::size_t c = 0; c < out.size(); ++c) {
      const auto asked = asked_of_chain(steps_, heads_, static_cast<std::int64_t>(c));
      for (std::size_t h = 0; h < heads_.size(); ++h) {
        if (asked[h] >= 0) out[c][heads_[h].name] = heads_[h].categories[static_cast<std::size_t>(asked[h])];
      }
    }
    return out;
  }

  at::Tensor pictures() const { return at::cat(pictures_).flatten(0, 1); }
 private:
  struct OfStep {
    std::size_t head, step;
  };
  results::ComposeLabel label(std::size_t s, std::size_t a) const {
    const auto [head, own] = asked_[a];
    const auto count = [&](std::size_t step, Count what) {
      return counts_[step][what][static_cast<std::int64_t>(a)].item<double>();
    };
    const auto n = static_cast<double>(options_.num_samples);
    results::ComposeLabel out{heads_[head].name, static_cast<std::int64_t>(own) + 1, count(s, kRight) / n};
    if (s < own) return out;
    out.kept = count(own, kRight) > 0 ? count(s, kKept) / count(own, kRight) : 0.0;
    out.unchanged = count(s, kSame) / n;
    return out;
  }

  const ComposeOptions& options_;
  const ComposeSteps& steps_;
  const ExperimentInputs& in_;
  const prior::LabelHeads& heads_;
  prior::ReverseChain chain_;
  std::vector<OfStep> asked_;  // all that is asked for, step by step
  std::vector<LabelReader> readers_;
  std::vector<FeatureSums> features_;  // by step
  std::vector<at::Tensor> counts_;     // by step
  std::vector<at::Tensor> pictures_;
};

class Compose : public Making<results::Compose> {
 public:
  Compose()
      : Making("hebm_dist compose [--name NAME] [--steps STEPS] [--config FILE.ini] [--section.key VALUE ...]",
            "Composes attributes step by step with a prior of `couple`, on all ranks: the layers of earlier steps' "
            "attributes are held, the others are drawn anew (Fig. 4). Result: RUN/results/compose-NAME.json, "
            "RUN/samples/compose-NAME.png; prints a table.",
            true) {}
  void describe(Options& o) override {
    o.add("steps", &steps_text_,
        "NAME or NAME=CATEGORY, with ',' in one step and '/' between steps, as in group=top/brightness,width; a name "
        "alone: all categories in turn; default: every label of the prior, those known to higher layers first",
        Show::kCommon);
    o.add("compose.num_samples", &own_.num_samples, "images that are composed", {2, 10000000}, Show::kCommon);
    o.add("compose.rows", &own_.rows, "images of the grid", {1, 1000});
    o.add("compose.chunk", &own_.chunk, "chains of a chunk; the ranks get whole ones", {1, 100000});
    o.add("compose.seed", &own_.seed, "seed of the chains", {0});
  }

  Cost cost() const override {
    const std::int64_t steps = std::ssize(steps_), levels = in().prior.num_levels();
    return {.num_grids = 1,
        .grid_images = 4 * own_.rows * steps,
        .num_chains = own_.num_samples,
        .chunk = own_.chunk,
        .each = fmt::format("{} chains, {} steps of {} levels of {} Langevin steps, {} at t = 0", own_.chunk, steps,
            levels, in().langevin.steps, in().langevin.steps_at(0)),
        .held = in().backbone.dim() * own_.chunk * (steps + 1 + levels)};
  }
  std::string result_name() const override { return "compose-" + in().name; }
  // Heads and categories by name.
  void add_fingerprint(nlohmann::json& out) const override {
    auto& of_steps = out["steps"] = nlohmann::json::array();
    for (const auto& step : steps_) {
      auto& asked = of_steps.emplace_back(nlohmann::json::array());
      for (const Asked& a : step) {
        const std::string category = category_of(in().prior.heads(), a);
        asked.push_back(in().prior.heads()[a.head].name + (category.empty() ? "" : "=" + category));
      }
    }
  }
 private:
  void check_inputs() override { steps_ = parse_steps(steps_text_, in().prior.heads()); }

  // The grid: a chain a row and a step a column.
  results::Compose make(const Place& place) const override {
    Composition composition(own_, steps_, in());
    const Moments real = training_moments(in().dataset, in().features, own_.chunk, place);
    for_chunks<Composed>(
        {own_.num_samples, own_.chunk, fmt::format("images in {} steps", steps_.size())}, place,
        [&](const Chunk& chunk) { return composition.draw(chunk); },
        [&](const Chunk&, const Composed& composed) { composition.add(composed); });
    const auto& [guidance, candidates] = in().guidance;
    results::Compose out{in().name, own_.num_samples, candidates, in().langevin.steps_at(0), guidance, {}, {},
        classifier(in().features)};
    comm::on_root(place.comm, [&] {
      out.steps = composition.steps(real);
      out.grid = composition.rows();
      write_grid(place.samples / (result_name() + ".png"), composition.pictures(), std::ssize(steps_));
    });
    return out;
  }

  ComposeOptions own_;
  std::string steps_text_;
  ComposeSteps steps_;
};

}  // namespace

template <> std::unique_ptr<Experiment> make_experiment<"compose">() { return std::make_unique<Compose>(); }

}  // namespace hebm::evaluate
