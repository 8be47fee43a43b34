#include "evaluate/compose.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include "base/options.h"
#include "base/visits.h"
#include "evaluate/chunks.h"
#include "evaluate/frechet.h"
#include "evaluate/label_reader.h"
#include "evaluate/training_moments.h"
#include "prior/forward_pair.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void ComposeOptions::describe(Options& o) {
  o.add("compose.num_samples", &num_samples, "images that are composed", {2, 10000000}, Show::kCommon);
  o.add("compose.rows", &rows, "images of the grid", {1, 1000});
  o.add("compose.chunk", &chunk, "chains of one unit of work", {1, 100000});
  o.add("compose.seed", &seed, "seed of the chains", {0});
}

std::vector<at::Tensor> compose_chains(const prior::ReverseChain& chain, const prior::EnergyPrior& prior,
    const ComposeSteps& steps, const at::Tensor& asked, const LabelGuidance& guidance, const prior::ChainIds& ids) {
  std::vector<at::Tensor> out;
  prior::LabelChoice choice{at::full_like(asked, -1), guidance.guidance};
  for (std::size_t s = 0; s < steps.size(); ++s) {
    for (const Asked& a : steps[s]) {
      const auto head = static_cast<std::int64_t>(a.head);
      choice.category.select(1, head).copy_(asked.select(1, head));
    }
    prior::ChainIds of_step = ids;
    of_step.visit.assign(ids.item.size(), visits::of_step(s));
    if (s == 0) {
      out.push_back(prior::sample_for_labels(chain, choice, guidance.candidates, of_step));
      continue;
    }
    const prior::HeldLayers held{held_layers(steps, s, prior.heads()), out.back(),
        prior::forward_trajectory(out.back(), prior.schedule(), of_step)};
    out.push_back(prior::sample_for_labels(chain, choice, guidance.candidates, of_step, &held));
  }
  return out;
}

namespace {

// Of a chunk's images after each step.
struct Composed {
  std::vector<at::Tensor> features, shows;  // [images, F]; [images, asked]: the category of each asked label
  at::Tensor pictures;                      // [images of the grid, steps, C, H, W]
  static void tensors(auto& c, auto& visit) {
    visit(c.features);
    visit(c.shows);
    visit(c.pictures);
  }
};

// Images that show an asked label after a step.
struct Shown {
  std::int64_t right = 0, kept = 0, same = 0;  // now; after its own step and now; the same as after its own step
};

class Composition {
 public:
  Composition(const ComposeOptions& options, const ComposeSteps& steps, const LabelGuidance& guidance,
      const ExperimentInputs& inputs)
      : options_(options),
        steps_(steps),
        guidance_(guidance),
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
    shown_.assign(steps_.size(), std::vector<Shown>(asked_.size()));
  }
  Composed draw(const Chunk& chunk) const;
  void add(const Chunk& chunk, const Composed& composed);
  std::vector<results::ComposeStep> steps(const Moments& real) const;
  // What the rows of the grid were asked for.
  std::vector<std::map<std::string, std::string>> rows() const;
  at::Tensor pictures() const { return at::cat(pictures_).flatten(0, 1); }
 private:
  struct OfStep {
    std::size_t head, step;
  };
  double share(std::int64_t count) const {
    return static_cast<double>(count) / static_cast<double>(options_.num_samples);
  }
  results::ComposeLabel label(std::size_t s, std::size_t a) const;

  const ComposeOptions& options_;
  const ComposeSteps& steps_;
  LabelGuidance guidance_;
  const ExperimentInputs& in_;
  const prior::LabelHeads& heads_;
  prior::ReverseChain chain_;
  std::vector<OfStep> asked_;  // all that is asked for, step by step
  std::vector<LabelReader> readers_;
  std::vector<FeatureSums> features_;      // by step
  std::vector<std::vector<Shown>> shown_;  // [step][asked]
  std::vector<at::Tensor> pictures_;
};

Composed Composition::draw(const Chunk& chunk) const {
  const c10::NoGradGuard no_grad;
  std::vector<std::int64_t> categories;
  for (std::int64_t c = chunk.first; c < chunk.first + chunk.size; ++c) {
    const auto of_chain = asked_of_chain(steps_, heads_, c);
    categories.insert(categories.end(), of_chain.begin(), of_chain.end());
  }
  const at::Tensor asked = at::tensor(categories, at::kLong).view({chunk.size, -1}).to(in_.backbone.params().device());
  const auto states = compose_chains(chain_, in_.prior, steps_, asked, guidance_,
      prior::chain_ids(static_cast<std::uint64_t>(options_.seed), chunk.first, chunk.size));
  Composed out;
  std::vector<at::Tensor> pictures;
  for (const at::Tensor& u0 : states) {
    const Seen seen = see(in_, u0);
    std::vector<at::Tensor> shows;
    for (const LabelReader& reader : readers_) shows.push_back(reader.read(seen.x, seen.classes));
    out.features.push_back(chunk.keep(seen.features));
    out.shows.push_back(chunk.keep(at::stack(shows, 1)));
    pictures.push_back(chunk.keep_below(options_.rows, seen.x).clone());
  }
  out.pictures = at::stack(pictures, 1);
  return out;
}

void Composition::add(const Chunk& chunk, const Composed& composed) {
  for (std::size_t s = 0; s < steps_.size(); ++s) features_[s].add(composed.features[s]);
  pictures_.push_back(composed.pictures);
  for (std::int64_t b = 0; b < chunk.count; ++b) {
    const auto wanted = asked_of_chain(steps_, heads_, chunk.first + b);
    const auto shown_at = [&](std::size_t s, std::size_t a) {
      return composed.shows[s].const_data_ptr<std::int64_t>()[static_cast<std::size_t>(b) * asked_.size() + a];
    };
    for (std::size_t a = 0; a < asked_.size(); ++a) {
      const auto [head, own] = asked_[a];
      for (std::size_t s = 0; s < steps_.size(); ++s) {
        const bool right = shown_at(s, a) == wanted[head];
        shown_[s][a].right += right ? 1 : 0;
        shown_[s][a].kept += right && shown_at(own, a) == wanted[head] ? 1 : 0;
        shown_[s][a].same += shown_at(s, a) == shown_at(own, a) ? 1 : 0;
      }
    }
  }
}

results::ComposeLabel Composition::label(std::size_t s, std::size_t a) const {
  const auto [head, own] = asked_[a];
  const std::int64_t right_then = shown_[own][a].right;
  results::ComposeLabel out{heads_[head].name, static_cast<std::int64_t>(own) + 1, share(shown_[s][a].right)};
  if (s < own) return out;
  out.kept = right_then > 0 ? static_cast<double>(shown_[s][a].kept) / static_cast<double>(right_then) : 0.0;
  out.unchanged = share(shown_[s][a].same);
  return out;
}

std::vector<results::ComposeStep> Composition::steps(const Moments& real) const {
  std::vector<results::ComposeStep> out;
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    results::ComposeStep step{static_cast<std::int64_t>(s) + 1, {}, held_layers(steps_, s, heads_), {}};
    for (const Asked& a : steps_[s]) {
      const auto& head = heads_[a.head];
      step.asked.push_back(
          {head.name, head.layers, a.category < 0 ? "" : head.categories[static_cast<std::size_t>(a.category)]});
    }
    for (std::size_t a = 0; a < asked_.size(); ++a) step.labels.push_back(label(s, a));
    step.fd_fmnist = frechet_distance(real, features_[s].moments()).total();
    out.push_back(std::move(step));
  }
  return out;
}

std::vector<std::map<std::string, std::string>> Composition::rows() const {
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

}  // namespace

results::Compose compose(const ComposeOptions& options, const ComposeSteps& steps, const LabelGuidance& guidance,
    const ExperimentInputs& inputs, comm::Communicator& comm, Logger& logger, const fs::path& grid) {
  const Timer timer;
  Composition composition(options, steps, guidance, inputs);
  const Moments real = training_moments(inputs.dataset, inputs.features, options.chunk, comm, logger);
  for_chunks<Composed>(
      {options.num_samples, options.chunk, fmt::format("images in {} steps", steps.size())}, comm, logger,
      [&](const Chunk& chunk) { return composition.draw(chunk); },
      [&](const Chunk& chunk, const Composed& composed) { composition.add(chunk, composed); });
  results::Compose out;
  comm::agree(comm, [&] {
    if (!comm.is_root()) return;
    out.steps = composition.steps(real);
    out.grid = composition.rows();
    write_grid(grid, composition.pictures(), std::ssize(steps));
  });
  out.num_samples = options.num_samples;
  out.guidance = guidance.guidance;
  out.candidates = guidance.candidates;
  out.steps_at_zero = inputs.langevin.steps_at(0);
  out.features = classifier(inputs.features);
  out.seconds = timer.seconds();
  return out;
}

}  // namespace hebm::evaluate
