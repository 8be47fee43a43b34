#include "evaluate/compose.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/options.h"
#include "base/visits.h"
#include "evaluate/frechet.h"
#include "evaluate/label_reader.h"
#include "evaluate/training_moments.h"
#include "prior/forward_pair.h"
#include "prior/label_draws.h"
#include "storage/png.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void ComposeOptions::describe(Options& o) {
  o.add("compose.num_samples", &num_samples, "images that are composed", {2, 10000000}, Show::kCommon);
  o.add("compose.rows", &rows, "images of the grid", {1, 1000});
  o.add("compose.chunk", &chunk, "chains of one unit of work", {1, 100000});
  o.add("compose.seed", &seed, "seed of the chains", {0});
}

std::vector<at::Tensor> compose_chains(const prior::ReverseChain& chain, const prior::EnergyPrior& prior,
                                       const ComposeSteps& steps, const at::Tensor& asked,
                                       const LabelGuidance& guidance, const prior::ChainIds& ids) {
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

constexpr std::int64_t kFeatures = nets::FeatureNet::kFeatures;

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
        device_(inputs.backbone.params().device()),
        features_(steps.size(), FeatureSums::with_zero_reference(kFeatures)) {
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      for (const Asked& asked : steps_[s]) {
        asked_.push_back({asked.head, s});
        readers_.emplace_back(heads_[asked.head], inputs.dataset, *inputs.features.net);
      }
    }
    right_.assign(steps_.size(), std::vector<std::int64_t>(asked_.size(), 0));
    kept_ = right_;
    same_ = right_;
  }
  // Of each step's image: features, then whether it shows each asked label (numbers 0 and 1) and
  // what it shows; then pictures.
  at::Tensor draw(std::int64_t first) const;
  void add(std::int64_t first, const at::Tensor& numbers);
  nlohmann::json json(const Moments& real) const;
  void write_grid(const fs::path& file) const;

 private:
  struct OfStep {
    std::size_t head, step;
  };
  std::int64_t images_of(std::int64_t first) const { return std::min(options_.chunk, options_.num_samples - first); }
  std::int64_t shown(std::int64_t first) const {
    return std::clamp<std::int64_t>(options_.rows - first, 0, images_of(first));
  }
  std::int64_t width() const { return kFeatures + static_cast<std::int64_t>(asked_.size()); }
  double share(std::int64_t count) const {
    return static_cast<double>(count) / static_cast<double>(options_.num_samples);
  }
  nlohmann::json label_json(std::size_t s, std::size_t a) const;

  const ComposeOptions& options_;
  const ComposeSteps& steps_;
  LabelGuidance guidance_;
  const ExperimentInputs& in_;
  const prior::LabelHeads& heads_;
  prior::ReverseChain chain_;
  at::Device device_;
  std::vector<OfStep> asked_;  // all that is asked for, step by step
  std::vector<LabelReader> readers_;
  std::vector<FeatureSums> features_;  // by step
  std::vector<std::vector<std::int64_t>> right_, kept_,
      same_;  // [step][asked]: right now; right at its own step and now; shows the same as then
  std::vector<at::Tensor> pictures_;
};

at::Tensor Composition::draw(std::int64_t first) const {
  const c10::NoGradGuard no_grad;
  std::vector<std::int64_t> categories;
  for (std::int64_t c = first; c < first + options_.chunk; ++c) {
    const auto of_chain = asked_of_chain(steps_, heads_, c);
    categories.insert(categories.end(), of_chain.begin(), of_chain.end());
  }
  const at::Tensor asked = at::tensor(categories, at::kLong).view({options_.chunk, -1}).to(device_);
  const auto states =
      compose_chains(chain_, in_.prior, steps_, asked, guidance_,
                     prior::chain_ids(static_cast<std::uint64_t>(options_.seed), first, options_.chunk));
  std::vector<at::Tensor> numbers, pictures;
  for (const at::Tensor& u0 : states) {
    const at::Tensor x = in_.backbone.mean_image(in_.backbone.decode(u0)), features = in_.features.net->features(x);
    const at::Tensor classes = in_.features.net->logits_of_features(features).argmax(1);
    std::vector<at::Tensor> columns = {features};
    for (const LabelReader& reader : readers_) columns.push_back(reader.read(x, classes).to(at::kFloat).unsqueeze(1));
    numbers.push_back(at::cat(columns, 1).narrow(0, 0, images_of(first)).flatten());
    pictures.push_back(x.narrow(0, 0, shown(first)));
  }
  numbers.push_back(at::stack(pictures, 1).flatten());
  return at::cat(numbers).to(at::kCPU);
}

void Composition::add(std::int64_t first, const at::Tensor& numbers) {
  const std::int64_t images = images_of(first), size = images * width();
  const auto said = [&](std::size_t s) {  // [images, asked]
    return numbers.narrow(0, static_cast<std::int64_t>(s) * size, size).view({images, width()});
  };
  std::vector<at::Tensor> shows;
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    features_[s].add(said(s).narrow(1, 0, kFeatures));
    shows.push_back(said(s).narrow(1, kFeatures, width() - kFeatures).contiguous());
  }
  for (std::int64_t b = 0; b < images; ++b) {
    const auto wanted = asked_of_chain(steps_, heads_, first + b);
    const auto shown_at = [&](std::size_t s, std::size_t a) {
      return static_cast<std::int64_t>(
          shows[s].const_data_ptr<float>()[static_cast<std::size_t>(b) * asked_.size() + a]);
    };
    for (std::size_t a = 0; a < asked_.size(); ++a) {
      const auto [head, own] = asked_[a];
      for (std::size_t s = 0; s < steps_.size(); ++s) {
        const bool right = shown_at(s, a) == wanted[head];
        right_[s][a] += right ? 1 : 0;
        kept_[s][a] += right && shown_at(own, a) == wanted[head] ? 1 : 0;
        same_[s][a] += shown_at(s, a) == shown_at(own, a) ? 1 : 0;
      }
    }
  }
  const ImageShape shape = in_.backbone.image_shape();
  const auto steps = static_cast<std::int64_t>(steps_.size());
  const at::Tensor rest = numbers.narrow(0, steps * size, numbers.size(0) - steps * size);
  pictures_.push_back(rest.view({shown(first) * steps, shape.channels, shape.height, shape.width}));
}

nlohmann::json Composition::label_json(std::size_t s, std::size_t a) const {
  const auto [head, own] = asked_[a];
  nlohmann::json out = {{"name", heads_[head].name}, {"asked_in_step", own + 1}, {"accuracy", share(right_[s][a])}};
  if (s < own) return out;
  out["kept"] = right_[own][a] > 0 ? static_cast<double>(kept_[s][a]) / static_cast<double>(right_[own][a]) : 0.0;
  out["unchanged"] = share(same_[s][a]);
  return out;
}

nlohmann::json Composition::json(const Moments& real) const {
  auto out = nlohmann::json::array();
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    auto asked = nlohmann::json::array(), labels = nlohmann::json::array();
    for (const Asked& a : steps_[s]) {
      asked.push_back({{"name", heads_[a.head].name}, {"layers", heads_[a.head].layers}});
      if (a.category >= 0) asked.back()["category"] = heads_[a.head].categories[static_cast<std::size_t>(a.category)];
    }
    for (std::size_t a = 0; a < asked_.size(); ++a) labels.push_back(label_json(s, a));
    out.push_back({{"step", s + 1},
                   {"asked", asked},
                   {"held_layers", held_layers(steps_, s, heads_)},
                   {"labels", labels},
                   {"fd_fmnist", frechet_distance(real, features_[s].moments()).total()}});
  }
  return out;
}

void Composition::write_grid(const fs::path& file) const {
  storage::write_png_grid(file, vae::image_batch(at::cat(pictures_)), static_cast<std::int64_t>(steps_.size()));
}

// What the rows of the grid were asked for.
nlohmann::json grid_rows(const ComposeOptions& options, const ComposeSteps& steps, const prior::LabelHeads& heads) {
  auto out = nlohmann::json::array();
  for (std::int64_t c = 0; c < std::min(options.rows, options.num_samples); ++c) {
    const auto asked = asked_of_chain(steps, heads, c);
    nlohmann::json row = nlohmann::json::object();
    for (std::size_t h = 0; h < heads.size(); ++h) {
      if (asked[h] >= 0) row[heads[h].name] = heads[h].categories[static_cast<std::size_t>(asked[h])];
    }
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace

nlohmann::json compose(const ComposeOptions& options, const ComposeSteps& steps, const LabelGuidance& guidance,
                       const ExperimentInputs& inputs, comm::Communicator& comm, Logger& logger,
                       const fs::path& directory, const std::string& name) {
  const Timer timer;
  Composition composition(options, steps, guidance, inputs);
  const Moments real = training_moments(inputs.dataset, inputs.features, options.chunk, comm, logger);
  for_chunks(
      options.num_samples, options.chunk, [&](std::int64_t first) { return composition.draw(first); },
      [&](std::int64_t first, const at::Tensor& numbers) { composition.add(first, numbers); }, comm, logger,
      fmt::format("images in {} steps", steps.size()));
  nlohmann::json out = {{"name", name},
                        {"num_samples", options.num_samples},
                        {"guidance", guidance.guidance},
                        {"candidates", guidance.candidates},
                        {"steps_at_zero", inputs.langevin.steps_at(0)}};
  comm::agree(comm, [&] {
    out["steps"] = composition.json(real);
    out["grid"] = grid_rows(options, steps, inputs.prior.heads());
    if (!comm.is_root()) return;
    fs::create_directories(directory);
    composition.write_grid(directory / fmt::format("compose-{}.png", name));
  });
  out["features"] = {{"accuracy", inputs.features.accuracy}, {"hash", inputs.features.hash}};
  out["seconds"] = timer.seconds();
  return out;
}

}  // namespace hebm::evaluate
