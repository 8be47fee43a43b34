// What a prior with label heads knows and does (Sec. 5.3, Fig. 5): p(y | u_0) on test images (Eq.
// 19), and images drawn for each category (Eq. 20), which the classifier of the scores reads
// without knowing what was asked for.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <cmath>
#include "base/error.h"
#include "base/visits.h"
#include "evaluate/chunks.h"
#include "evaluate/experiment.h"
#include "evaluate/features.h"
#include "nets/device.h"
#include "prior/reverse_chain.h"
#include "results/experiments.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace {

// Of test images, by head.
struct Tested {
  std::vector<at::Tensor> cross_entropy;  // [images]
  // [2 + layers + categories]: images of which p(y | u_0), the reader, and each layer alone say the
  // truth; images of each category.
  std::vector<at::Tensor> counts;
  static void tensors(auto& t, auto& visit) { visit(t.cross_entropy, t.counts); }
};

// Images of one chunk: of features and pictures the first are without a label, those at 1 + h have
// the labels of head h.
struct Drawn {
  std::vector<at::Tensor> features, pictures;  // [images, F]; [images of the grid, C, H, W]
  // By head, images as the reader sees them: [categories] without a label, [asked for, categories]
  // with one; and those of which p(y | u_0) says what was asked for, [].
  std::vector<at::Tensor> free, read, own;
  static void tensors(auto& d, auto& visit) { visit(d.features, d.pictures, d.free, d.read, d.own); }
};

struct HeadSums {
  double cross_entropy = 0;
  at::Tensor counts, free, read, own;  // of Tested and Drawn
};

// How often each of 0 .. size - 1 is there.
at::Tensor counts_of(const at::Tensor& values, std::int64_t size) { return at::bincount(values, {}, size); }

std::vector<std::int64_t> numbers(const at::Tensor& counts) {
  const auto* first = counts.const_data_ptr<std::int64_t>();
  return {first, first + counts.numel()};
}

std::vector<double> shares(const at::Tensor& counts) {
  const auto total = counts.sum().item<double>();
  std::vector<double> out;
  for (const auto n : numbers(counts)) out.push_back(total > 0 ? static_cast<double>(n) / total : 0.0);
  return out;
}

struct LabelsOptions {
  std::int64_t num_test = 2000, num_samples = 2000, chunk = 100;
  std::int64_t columns = 10;  // images of a category in the grid
  std::int64_t seed = 1;
};

class LabelRun {
 public:
  LabelRun(const LabelsOptions& options, const ExperimentInputs& inputs)
      : options_(options),
        in_(inputs),
        heads_(inputs.prior.heads()),
        chain_(inputs.prior, inputs.backbone, inputs.langevin),
        step_variance_(prior::step_variance(inputs.prior.schedule(), inputs.langevin, 0)),
        device_(inputs.backbone.params().device()),
        features_(heads_.size() + 1, FeatureSums(nets::FeatureNet::kFeatures)),
        pictures_(features_.size()) {
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      readers_.emplace_back(heads_[h], inputs.dataset, *inputs.features.net);
      const std::int64_t categories = categories_of(h);
      sums_.push_back(
          {0, at::zeros({2 + std::ssize(heads_[h].layers) + categories}, at::kLong), at::zeros({categories}, at::kLong),
              at::zeros({categories, categories}, at::kLong), at::zeros({}, at::kLong)});
    }
  }

  Tested test(const Chunk& chunk) const {
    const c10::NoGradGuard no_grad;
    const auto images = split_members(in_.dataset, data::Split::kTest, chunk.first, chunk.size);
    const std::vector<std::uint32_t> visits(images.size(), visits::kLabelTest);
    const at::Tensor x = vae::image_tensor(in_.dataset.read(images)).to(device_);
    const auto q = vae::draw_posterior(in_.backbone, x, static_cast<std::uint64_t>(options_.seed), images, visits);
    const auto outputs = chain_.label_outputs(q.u);
    const auto values = prior::head_values(heads_, outputs);
    const at::Tensor classes = in_.features.net->logits_of_features(in_.features.net->features(x)).argmax(1);
    Tested out;
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      std::vector<std::int64_t> of_image;
      for (const auto image : images) of_image.push_back(readers_[h].column().values[static_cast<std::size_t>(image)]);
      const at::Tensor truth = nets::on_device(of_image, device_);
      std::vector<at::Tensor> said = likeliest_by_layer(h, outputs);
      said.insert(said.begin(), {values[h].argmax(1), readers_[h].read(x, classes)});
      const at::Tensor right = chunk.keep(at::stack(said, 1).eq(truth.unsqueeze(1))).sum(0);
      out.cross_entropy.push_back(chunk.keep(prior::cross_entropy(values[h], step_variance_, truth)));
      out.counts.push_back(at::cat({right, counts_of(chunk.keep(truth), categories_of(h))}));
    }
    return out;
  }

  void add(const Tested& tested) {
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      const at::Tensor& of_image = tested.cross_entropy[h];
      for (std::int64_t b = 0; b < of_image.size(0); ++b) sums_[h].cross_entropy += of_image.const_data_ptr<float>()[b];
      sums_[h].counts.add_(tested.counts[h]);
    }
  }

  Drawn draw(const Chunk& chunk) const {
    const c10::NoGradGuard no_grad;
    const auto ids = prior::chain_ids(static_cast<std::uint64_t>(options_.seed), chunk.first, chunk.size);
    const auto unlabelled = prior::draw_candidates(chain_, 1, ids);
    const auto candidates =
        in_.guidance.candidates == 1 ? unlabelled : prior::draw_candidates(chain_, in_.guidance.candidates, ids);
    Drawn out;
    const at::Tensor any = at::full({chunk.size, std::ssize(heads_)}, -1, at::TensorOptions(at::kLong).device(device_));
    const auto look = [&](const prior::LabelCandidates& from, const at::Tensor& asked, std::int64_t num_pictures) {
      const at::Tensor u0 = prior::finish_for_labels(chain_, from, {asked, in_.guidance.guidance}, ids);
      Seen seen = see(in_, u0);
      out.features.push_back(chunk.keep(seen.features));
      out.pictures.push_back(chunk.keep_below(num_pictures, seen.x).clone());
      return std::pair{u0, seen};
    };
    const Seen free = look(unlabelled, any, 0).second;
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      const std::int64_t categories = categories_of(h);
      out.free.push_back(counts_of(chunk.keep(readers_[h].read(free.x, free.classes)), categories));
      const at::Tensor asked = at::arange(chunk.first, chunk.first + chunk.size, any.options()).remainder(categories);
      at::Tensor choice = any.clone();
      choice.select(1, static_cast<std::int64_t>(h)).copy_(asked);
      const auto [u0, seen] = look(candidates, choice, options_.columns * categories);
      const at::Tensor said = prior::head_values(heads_, chain_.label_outputs(u0))[h].argmax(1);
      const at::Tensor read = asked * categories + readers_[h].read(seen.x, seen.classes);
      out.read.push_back(counts_of(chunk.keep(read), categories * categories).view({categories, categories}));
      out.own.push_back(chunk.keep(said.eq(asked)).sum());
    }
    return out;
  }

  void add(const Drawn& drawn) {
    for (std::size_t set = 0; set < features_.size(); ++set) {
      features_[set].add(drawn.features[set]);
      pictures_[set].push_back(drawn.pictures[set]);
    }
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      sums_[h].free.add_(drawn.free[h]);
      sums_[h].read.add_(drawn.read[h]);
      sums_[h].own.add_(drawn.own[h]);
    }
  }

  // Of the images without a label, or with those of head `set` - 1.
  double score(std::size_t set, const Moments& real) const { return frechet_distance(real, features_[set].moments()); }

  results::LabelHead head(std::size_t h, const Moments& real) const {
    const HeadSums& sums = sums_[h];
    const auto n = static_cast<double>(options_.num_test), samples = static_cast<double>(options_.num_samples);
    results::LabelHead out{heads_[h].name, heads_[h].layers, {}, {}, 0, by_category(h)};
    const auto right = [&](std::size_t place) { return static_cast<double>(numbers(sums.counts)[place]) / n; };
    out.test = {right(0), sums.cross_entropy / n, right(1), {}};
    for (std::size_t k = 0; k < out.layers.size(); ++k) out.test.by_layer.push_back({out.layers[k], right(2 + k)});
    for (const auto& category : out.by_category)
      out.imbalance_without_label += 0.5 * std::abs(category.share_of_test_images - category.share_without_label);
    const double score_of_head = score(h + 1, real);
    out.drawn = {sums.read.trace().item<double>() / samples, sums.own.item<double>() / samples, score_of_head,
        score_of_head / score(0, real)};
    return out;
  }

  // Chain c is in row c mod C.
  void write_pictures(std::size_t h, const std::filesystem::path& file) const {
    const at::Tensor all = at::cat(pictures_[h + 1]);
    const std::int64_t categories = categories_of(h), columns = all.size(0) / categories;
    if (columns == 0) return;
    const at::Tensor rows = all.narrow(0, 0, columns * categories).unflatten(0, {columns, categories});
    write_grid(file, rows.transpose(0, 1).flatten(0, 1), columns);
  }
 private:
  std::int64_t categories_of(std::size_t h) const { return std::ssize(heads_[h].categories); }

  std::vector<at::Tensor> likeliest_by_layer(std::size_t h, const std::vector<at::Tensor>& outputs) const {
    std::vector<at::Tensor> out;
    for (const auto layer : heads_[h].layers) {
      std::vector<at::Tensor> alone;
      for (const auto& g : outputs) alone.push_back(g.defined() ? at::zeros_like(g) : g);
      alone[static_cast<std::size_t>(layer)] = outputs[static_cast<std::size_t>(layer)];
      out.push_back(prior::head_values(heads_, alone)[h].argmax(1));
    }
    return out;
  }

  std::vector<results::LabelCategory> by_category(std::size_t h) const {
    const HeadSums& sums = sums_[h];
    const std::int64_t first = 2 + std::ssize(heads_[h].layers);
    const auto of_data = shares(sums.counts.narrow(0, first, categories_of(h))), free = shares(sums.free);
    std::vector<results::LabelCategory> out;
    for (std::size_t y = 0; y < of_data.size(); ++y) {
      const at::Tensor read_as = sums.read[static_cast<std::int64_t>(y)];
      out.push_back({heads_[h].categories[y], shares(read_as)[y], numbers(read_as), of_data[y], free[y]});
    }
    return out;
  }

  const LabelsOptions& options_;
  const ExperimentInputs& in_;
  const prior::LabelHeads& heads_;
  prior::ReverseChain chain_;
  double step_variance_;
  at::Device device_;
  std::vector<FeatureSums> features_;
  std::vector<std::vector<at::Tensor>> pictures_;
  std::vector<LabelReader> readers_;
  std::vector<HeadSums> sums_;
};

// Chain c = 0, 1, ... is drawn without a label as `sample` does with the same seed and chunk, and
// once for category c mod C of every head as `sample --label` does. Grids, a category a row:
// labels-NAME-HEAD.png.
class Labels : public Making<results::Labels> {
 public:
  Labels()
      : Making("hebm_dist labels [--name NAME] [--config FILE.ini] [--section.key VALUE ...]",
            "What a prior of `couple` knows and draws, on all ranks: accuracy of p(y | u_0) on test images, and of "
            "images drawn for each label as the classifier reads them (Fig. 5). Result: RUN/results/labels-NAME.json, "
            "RUN/samples/labels-NAME-*.png; prints a table.",
            true) {}
  void describe(Options& o) override {
    o.add(
        "labels.num_test", &own_.num_test, "test images that p(y | u_0) is measured on", {1, 10000000}, Show::kCommon);
    o.add("labels.num_samples", &own_.num_samples,
        "images drawn without a label, and for each head with one, all categories equally often", {2, 10000000},
        Show::kCommon);
    o.add("labels.columns", &own_.columns, "images of a category in the grid", {1, 100});
    o.add("labels.chunk", &own_.chunk, "images of a chunk; the ranks get whole ones", {1, 100000});
    o.add("labels.seed", &own_.seed, "seed of the chains; with sample.seed and sample.chunk those of `sample`", {0});
  }

  Cost cost() const override {
    const std::int64_t heads = std::ssize(in().prior.heads());
    return {.num_grids = heads,
        .grid_images = 40 * own_.columns,
        .num_chains = own_.num_samples,
        .chunk = own_.chunk,
        .each = fmt::format(
            "{} chains of {} levels of {} Langevin steps, {} times {} at t = 0, and {} candidates of all of it",
            own_.chunk, in().prior.num_levels() - 1, in().langevin.steps, 1 + heads, in().langevin.steps_at(0),
            in().guidance.candidates)};
  }
  std::string result_name() const override { return "labels-" + in().name; }
 private:
  results::Labels make(const Place& place) const override {
    const auto& heads = in().prior.heads();
    const auto available = std::ssize(in().dataset.members(data::Split::kTest));
    check(own_.num_test <= available, ExitCode::kUsage, "{}: {} test images, labels.num_test is {}",
        in().dataset.path().string(), available, own_.num_test);
    LabelRun run(own_, in());
    const Moments real = training_moments(in().dataset, in().features, own_.chunk, place);
    for_chunks<Tested>(
        {own_.num_test, own_.chunk, "p(y | u_0) of test images"}, place,
        [&](const Chunk& chunk) { return run.test(chunk); },
        [&](const Chunk&, const Tested& tested) { run.add(tested); });
    for_chunks<Drawn>(
        {own_.num_samples, own_.chunk, "images for labels"}, place, [&](const Chunk& chunk) { return run.draw(chunk); },
        [&](const Chunk&, const Drawn& drawn) { run.add(drawn); });
    const auto& [guidance, candidates] = in().guidance;
    results::Labels out{in().name, own_.num_test, own_.num_samples, candidates, in().langevin.steps_at(0),
        std::ssize(in().backbone.groups()), guidance, results::kUnknown, {}, classifier(in().features)};
    comm::on_root(place.comm, [&] {
      for (std::size_t h = 0; h < heads.size(); ++h) {
        out.heads.push_back(run.head(h, real));
        run.write_pictures(h, place.samples / fmt::format("{}-{}.png", result_name(), heads[h].name));
      }
      out.fd_fmnist_without_label = run.score(0, real);
    });
    return out;
  }

  LabelsOptions own_;
};

}  // namespace

template <> std::unique_ptr<Experiment> make_experiment<"labels">() { return std::make_unique<Labels>(); }

}  // namespace hebm::evaluate
