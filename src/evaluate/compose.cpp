#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <numeric>
#include <set>
#include "base/error.h"
#include "base/text.h"
#include "base/visits.h"
#include "evaluate/chunks.h"
#include "evaluate/features.h"
#include "evaluate/labels.h"
#include "prior/forward_pair.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void ComposeOptions::describe(Options& o) {
  o.add("compose.num_samples", &num_samples, "images that are composed", {2, 10000000}, Show::kCommon);
  o.add("compose.rows", &rows, "images of the grid", {1, 1000});
  o.add("compose.chunk", &chunk, "chains of a chunk; the ranks get whole ones", {1, 100000});
  o.add("compose.seed", &seed, "seed of the chains", {0});
}

namespace {

ComposeSteps default_steps(const prior::LabelHeads& heads) {
  std::vector<std::size_t> order(heads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(
      order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return heads[a].layers < heads[b].layers; });
  ComposeSteps out;
  for (const std::size_t head : order) {
    std::size_t step = 0;  // the first after which all its layers are held, else a new one
    const auto& layers = heads[head].layers;
    const auto is_held_after = [&](std::size_t s) {
      const auto held = held_layers(out, s + 1, heads);
      return std::includes(held.begin(), held.end(), layers.begin(), layers.end());
    };
    while (step < out.size() && !is_held_after(step)) ++step;
    if (step == out.size()) out.emplace_back();
    out[step].push_back({head, -1});
  }
  return out;
}

void check_steps(const ComposeSteps& steps, const prior::LabelHeads& heads) {
  std::set<std::size_t> seen;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    const auto held = held_layers(steps, s, heads);
    for (const Asked& asked : steps[s]) {
      const prior::LabelHead& head = heads[asked.head];
      check(seen.insert(asked.head).second, ExitCode::kUsage, "--steps: '{}' is there twice", head.name);
      const bool is_free = std::any_of(head.layers.begin(), head.layers.end(),
          [&](std::int64_t layer) { return std::find(held.begin(), held.end(), layer) == held.end(); });
      check(is_free, ExitCode::kUsage,
          "--steps: '{}' is known to layers {}, which step {} holds all; ask for it in an earlier step", head.name,
          fmt::join(head.layers, ","), s + 1);
    }
  }
}

}  // namespace

ComposeSteps parse_steps(const std::string& text, const prior::LabelHeads& heads) {
  ComposeSteps out = text.empty() ? default_steps(heads) : ComposeSteps();
  for (const std::string& step : text.empty() ? std::vector<std::string>() : split(text, '/')) {
    out.emplace_back();
    for (const std::string& part : split(step, ',')) {
      const auto equals = part.find('=');
      const std::size_t head = prior::head_named(heads, part.substr(0, equals));
      out.back().push_back(
          {head, equals == std::string::npos ? -1 : prior::category_named(heads[head], part.substr(equals + 1))});
    }
  }
  check_steps(out, heads);
  return out;
}

std::vector<std::int64_t> held_layers(const ComposeSteps& steps, std::size_t s, const prior::LabelHeads& heads) {
  std::set<std::int64_t> out;
  for (std::size_t before = 0; before < s; ++before) {
    for (const Asked& asked : steps[before])
      out.insert(heads[asked.head].layers.begin(), heads[asked.head].layers.end());
  }
  return {out.begin(), out.end()};
}

std::vector<std::int64_t> asked_of_chain(
    const ComposeSteps& steps, const prior::LabelHeads& heads, std::int64_t chain) {
  std::vector<std::int64_t> out(heads.size(), -1);
  for (const auto& step : steps) {
    for (const Asked& asked : step) {
      const auto categories = static_cast<std::int64_t>(heads[asked.head].categories.size());
      out[asked.head] = asked.category >= 0 ? asked.category : chain % categories;
      if (asked.category < 0) chain /= categories;
    }
  }
  return out;
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
  std::vector<at::Tensor> features;  // [images, F]
  // [3, asked]: images that show an asked label; that did so after its own step too; that show the
  // same as after its own step.
  std::vector<at::Tensor> counts;
  at::Tensor pictures;  // [images of the grid, steps, C, H, W]
  static void tensors(auto& c, auto& visit) { visit(c.features, c.counts, c.pictures); }
};
enum Count : std::int64_t { kRight, kKept, kSame };

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
    const auto states = compose_chains(chain_, in_.prior, steps_, asked, guidance_,
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
        step.asked.push_back(
            {head.name, head.layers, a.category < 0 ? "" : head.categories[static_cast<std::size_t>(a.category)]});
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
  LabelGuidance guidance_;
  const ExperimentInputs& in_;
  const prior::LabelHeads& heads_;
  prior::ReverseChain chain_;
  std::vector<OfStep> asked_;  // all that is asked for, step by step
  std::vector<LabelReader> readers_;
  std::vector<FeatureSums> features_;  // by step
  std::vector<at::Tensor> counts_;     // by step
  std::vector<at::Tensor> pictures_;
};

}  // namespace

results::Compose compose(const ComposeOptions& options, const ComposeSteps& steps, const LabelGuidance& guidance,
    const ExperimentInputs& inputs, comm::Communicator& comm, Logger& logger, const fs::path& grid) {
  Composition composition(options, steps, guidance, inputs);
  const Moments real = training_moments(inputs.dataset, inputs.features, options.chunk, comm, logger);
  for_chunks<Composed>(
      {options.num_samples, options.chunk, fmt::format("images in {} steps", steps.size())}, comm, logger,
      [&](const Chunk& chunk) { return composition.draw(chunk); },
      [&](const Chunk&, const Composed& composed) { composition.add(composed); });
  results::Compose out{"", options.num_samples, guidance.candidates, inputs.langevin.steps_at(0), guidance.guidance, {},
      {}, classifier(inputs.features)};
  comm::on_root(comm, [&] {
    out.steps = composition.steps(real);
    out.grid = composition.rows();
    write_grid(grid, composition.pictures(), std::ssize(steps));
  });
  return out;
}

}  // namespace hebm::evaluate
