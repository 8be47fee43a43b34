// Hierarchical sampling (Sec. 5.1, Fig. 2): the u of some latent layers is kept from a sample, that
// of the others is drawn by the prior given what is kept. Eq. 10 with the kept layers conditioned
// on: at level t they stand at u_t of one draw of Eq. 7 from their u_0, the Langevin chain (Eq. 13)
// moves only the free layers, and at the end the kept ones are u_0 itself, bit by bit.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <numeric>
#include "base/visits.h"
#include "evaluate/chunks.h"
#include "evaluate/experiment.h"
#include "prior/reverse_chain.h"
#include "results/table.h"

namespace hebm::evaluate {
namespace {

using Layers = std::vector<std::int64_t>;  // ascending; 0: the top one

// results/vary.json, vary-LAYERS.json. Means over all variations: distance of the classifier's 128
// features to the kept sample's, and share whose predicted class is another.
struct VarySet {
  Layers free;       // drawn anew
  std::string name;  // "0-2"; "all" for all of them
  double feature_distance = results::kUnknown, class_changed = results::kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("free", s.free, "name", s.name, "feature_distance", s.feature_distance, "class_changed", s.class_changed);
  }
};
struct Varied {
  results::Count num_samples, variations, num_layers;
  std::vector<VarySet> sets;
  results::Classifier features;
  double seconds = results::kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("num_samples", s.num_samples, "variations", s.variations, "num_layers", s.num_layers, "sets", s.sets,
        "features", s.features, "seconds", s.seconds);
  }
};
std::string text_of(const Varied& result) {
  results::Table out{{{"free layers", "", 12}, {"feature distance", "{:.3f}", 18}, {"class changed", "{:.3f}", 14}}};
  for (const VarySet& set : result.sets) out.rows.push_back({set.name, set.feature_distance, set.class_changed});
  return results::text(out);
}

struct Comparison {
  at::Tensor numbers;   // [chains, 2]: feature distance, and whether the class changed
  at::Tensor pictures;  // [chains in the grid, 2, C, H, W]: kept and varied
  static void tensors(auto& c, auto& visit) { visit(c.numbers, c.pictures); }
};

// Samples are chains 0, 1, ... of Alg. 2, each with `variations` draws a set of free layers.
class Vary : public Making<Varied> {
 public:
  Vary()
      : Making("hebm_dist vary [--layers LIST] [--config FILE.ini] [--section.key VALUE ...]",
            "Keeps the u of some latent layers of samples and draws the others from the prior given these, on all "
            "ranks (Fig. 2). Result: RUN/results/vary.json (vary-LIST.json), RUN/samples/vary-*.png; prints a table.") {
  }
  void describe(Options& o) override {
    o.add_list("layers", &layers_, "layers that are drawn anew, 0: the top; default: each layer alone, then all", {0},
        Show::kCommon);
    o.add("vary.num_samples", &num_samples_, "samples that are varied", {1, 10000000}, Show::kCommon);
    o.add("vary.variations", &variations_, "draws of the free layers for each sample", {1, 10000}, Show::kCommon);
    o.add("vary.rows", &rows_, "samples of a grid", {1, 100});
    o.add("vary.chunk", &chunk_, "chains of a chunk; the ranks get whole ones", {1, 100000});
    o.add("vary.seed", &seed_,
        "seed of the chains; with sample.seed and sample.chunk the samples are those of `sample`", {0});
  }

  Cost cost() const override {
    const std::int64_t num_sets = std::ssize(sets_), levels = in().prior.num_levels();
    return {.num_grids = num_sets,
        .grid_images = 4 * rows_ * (1 + variations_),
        .num_chains = num_chains(),
        .chunk = chunk_,
        .sets = num_sets,
        .each = fmt::format("{} chains of {} levels of {} Langevin steps", chunk_, levels, in().langevin.steps),
        .held = in().backbone.dim() * (num_samples_ + chunk_ * (1 + levels))};
  }
  std::string result_name() const override { return layers_.empty() ? "vary" : "vary-" + name_of(layers_); }
  void add_fingerprint(nlohmann::json& out) const override { out["layers"] = sets_; }
 private:
  void check_inputs() override {
    if (!layers_.empty()) {
      prior::check_layers(layers_, num_layers());
      std::sort(layers_.begin(), layers_.end());
      sets_ = {layers_};
      return;
    }
    Layers all(static_cast<std::size_t>(num_layers()));
    std::iota(all.begin(), all.end(), 0);
    for (const std::int64_t layer : all) {
      if (all.size() > 1) sets_.push_back({layer});
    }
    sets_.push_back(all);
  }

  Varied make(const Place& place) const override {
    const prior::ReverseChain chain(in().prior, in().backbone, in().langevin);
    std::vector<at::Tensor> chunks;
    for_chunks<at::Tensor>(
        {num_samples_, chunk_, "samples to vary"}, place,
        [&](const Chunk& c) { return c.keep(chain.sample(prior::chain_ids(seed(), c.first, c.size))); },
        [&](const Chunk&, const at::Tensor& u0) { chunks.push_back(u0); });
    const at::Tensor samples = on_every_rank(place.comm.is_root() ? at::cat(chunks) : at::Tensor(), place.comm);
    Varied out{num_samples_, variations_, num_layers(), {}, classifier(in().features)};
    for (const Layers& free : sets_) out.sets.push_back(vary(free, chain, samples, place));
    return out;
  }

  // On rank 0. samples: u_0 [num_samples, D] on the host. Grid (rows: samples, first column kept):
  // vary-NAME.png.
  VarySet vary(
      const Layers& free, const prior::ReverseChain& chain, const at::Tensor& samples, const Place& place) const {
    const std::string name = name_of(free);
    at::Tensor sums = at::zeros({2}, at::kDouble);
    std::vector<at::Tensor> pictures;  // of the grid's samples, chain by chain
    for_chunks<Comparison>(
        {num_chains(), chunk_, fmt::format("free layers: {}", name)}, place,
        [&](const Chunk& chunk) { return compare(chunk, free, chain, samples); },
        [&](const Chunk&, const Comparison& compared) {
          sums.add_(compared.numbers.to(at::kDouble).sum(0));
          pictures.push_back(compared.pictures);
        });
    comm::on_root(place.comm, [&] {
      const at::Tensor pairs = at::cat(pictures).unflatten(0, {-1, variations_});  // [samples, variations, 2, C, H, W]
      const at::Tensor kept = pairs.select(2, 0).narrow(1, 0, 1), varied = pairs.select(2, 1);
      write_grid(
          place.samples / fmt::format("vary-{}.png", name), at::cat({kept, varied}, 1).flatten(0, 1), 1 + variations_);
    });
    const auto count = static_cast<double>(num_chains());
    return {free, name, sums[0].item<double>() / count, sums[1].item<double>() / count};
  }

  Comparison compare(
      const Chunk& chunk, const Layers& free, const prior::ReverseChain& chain, const at::Tensor& samples) const {
    const c10::NoGradGuard no_grad;
    const prior::ChainIds ids = ids_of(chunk);
    const Layers sample_of(ids.item.begin(), ids.item.end());
    const at::Tensor u0 = samples.index_select(0, at::tensor(sample_of, at::kLong)).to(in().backbone.params().device());
    Layers others;
    for (std::int64_t i = 0; i < num_layers(); ++i) {
      if (std::find(free.begin(), free.end(), i) == free.end()) others.push_back(i);
    }
    const auto held = chain.held(std::move(others), u0, ids);
    const Seen varied = see(in(), chain.sample(ids, {.held = &held})), kept = see(in(), u0);
    const at::Tensor distance = (varied.features - kept.features).square().sum(1).sqrt();
    const at::Tensor changed = varied.classes.ne(kept.classes).to(at::kFloat);
    const std::int64_t grid_chains = std::min(rows_, num_samples_) * variations_;
    return {
        chunk.keep(at::stack({distance, changed}, 1)), chunk.keep_below(grid_chains, at::stack({kept.x, varied.x}, 1))};
  }

  // Variation c mod variations (visits from 1 on) of sample c / variations, beyond the end of the
  // last one.
  prior::ChainIds ids_of(const Chunk& chunk) const {
    prior::ChainIds ids{{}, {}, seed()};
    for (std::int64_t c = chunk.first; c < chunk.first + chunk.size; ++c) {
      const std::int64_t number = std::min(c, num_chains() - 1);
      ids.item.push_back(static_cast<std::uint32_t>(number / variations_));
      ids.visit.push_back(visits::of_draw(1 + number % variations_));
    }
    return ids;
  }

  std::string name_of(const Layers& free) const {
    return std::ssize(free) == num_layers() ? "all" : fmt::format("{}", fmt::join(free, "-"));
  }
  std::int64_t num_chains() const { return num_samples_ * variations_; }
  std::int64_t num_layers() const { return std::ssize(in().backbone.groups()); }
  std::uint64_t seed() const { return static_cast<std::uint64_t>(seed_); }

  std::int64_t num_samples_ = 100, variations_ = 8, chunk_ = 100;
  std::int64_t rows_ = 8;  // samples of a grid
  std::int64_t seed_ = 1;
  Layers layers_;             // as asked for
  std::vector<Layers> sets_;  // of free layers
};

}  // namespace

template <> std::unique_ptr<Experiment> make_experiment<"vary">() { return std::make_unique<Vary>(); }

}  // namespace hebm::evaluate
