#include "evaluate/labels.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <cmath>
#include "base/error.h"
#include "base/options.h"
#include "base/visits.h"
#include "evaluate/chunks.h"
#include "evaluate/frechet.h"
#include "evaluate/label_reader.h"
#include "evaluate/training_moments.h"
#include "nets/device.h"
#include "prior/reverse_chain.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void LabelsOptions::describe(Options& o) {
  o.add("labels.num_test", &num_test, "test images that p(y | u_0) is measured on", {1, 10000000}, Show::kCommon);
  o.add("labels.num_samples", &num_samples,
      "images drawn without a label, and for each head with one, all categories equally often", {2, 10000000},
      Show::kCommon);
  o.add("labels.columns", &columns, "images of a category in the grid", {1, 100});
  o.add("labels.chunk", &chunk, "images of one unit of work", {1, 100000});
  o.add("labels.seed", &seed, "seed of the chains; with sample.seed and sample.chunk those of `sample`", {0});
}

namespace {

// Of test images; the vectors by head.
struct Tested {
  std::vector<at::Tensor> cross_entropy, said, read;  // [images]; likeliest category, what the reader says
  std::vector<at::Tensor> said_by_layer;              // [images, layers]: likeliest by each layer alone
  static void tensors(auto& t, auto& visit) {
    visit(t.cross_entropy);
    visit(t.said);
    visit(t.read);
    visit(t.said_by_layer);
  }
};

// Images of one chunk by set: 0 is without a label, 1 + h has those of head h.
struct Drawn {
  std::vector<at::Tensor> features, read, said;  // [images, F], [images, heads], [images, heads]
  std::vector<at::Tensor> pictures;              // [images of the grid, C, H, W]
  static void tensors(auto& d, auto& visit) {
    visit(d.features);
    visit(d.read);
    visit(d.said);
    visit(d.pictures);
  }
};

// Images drawn without a label, or with those of one head.
struct DrawnSet {
  FeatureSums features{nets::FeatureNet::kFeatures};
  std::vector<std::vector<std::int64_t>> read;  // [asked for][read by the reader]; without a label one row
  std::int64_t own = 0;                         // images of which p(y | u_0) says what was asked for
  std::vector<at::Tensor> pictures;
};

struct TestSums {
  double cross_entropy = 0;
  std::int64_t hits = 0, read_hits = 0;
  std::vector<std::int64_t> layer_hits, categories;  // by layer of the head; images of each category
};

class LabelRun {
 public:
  LabelRun(const LabelsOptions& options, const LabelGuidance& guidance, const ExperimentInputs& inputs)
      : options_(options),
        guidance_(guidance),
        in_(inputs),
        heads_(inputs.prior.heads()),
        chain_(inputs.prior, inputs.backbone, inputs.langevin),
        step_variance_(prior::step_variance(inputs.prior.schedule(), inputs.langevin, 0)),
        device_(inputs.backbone.params().device()),
        sets_(heads_.size() + 1) {
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      readers_.emplace_back(heads_[h], inputs.dataset, *inputs.features.net);
      const std::vector<std::int64_t> none(heads_[h].categories.size(), 0);
      tests_.push_back({0, 0, 0, std::vector<std::int64_t>(heads_[h].layers.size(), 0), none});
      sets_[0].read.push_back(none);
      sets_[h + 1].read.assign(none.size(), none);
    }
  }
  Tested test(const Chunk& chunk) const;
  void add(const Chunk& chunk, const Tested& tested);
  Drawn draw(const Chunk& chunk) const;
  void add(const Chunk& chunk, const Drawn& drawn);
  double score(std::size_t set, const Moments& real) const {
    return frechet_distance(real, sets_[set].features.moments()).total();
  }
  results::LabelHead head(std::size_t h, const Moments& real) const;
  void write_pictures(std::size_t h, const fs::path& file) const;
 private:
  std::int64_t categories_of(std::size_t h) const { return std::ssize(heads_[h].categories); }
  std::vector<at::Tensor> likeliest_by_layer(std::size_t h, const std::vector<at::Tensor>& outputs) const;
  prior::LabelChoice choice(std::size_t set, const Chunk& chunk) const;
  std::vector<results::LabelCategory> by_category(std::size_t h) const;

  const LabelsOptions& options_;
  LabelGuidance guidance_;
  const ExperimentInputs& in_;
  const prior::LabelHeads& heads_;
  prior::ReverseChain chain_;
  double step_variance_;
  at::Device device_;
  std::vector<LabelReader> readers_;
  std::vector<TestSums> tests_;
  std::vector<DrawnSet> sets_;
};

std::vector<at::Tensor> LabelRun::likeliest_by_layer(std::size_t h, const std::vector<at::Tensor>& outputs) const {
  std::vector<at::Tensor> out;
  for (const auto layer : heads_[h].layers) {
    std::vector<at::Tensor> alone;
    for (const auto& g : outputs) alone.push_back(g.defined() ? at::zeros_like(g) : g);
    alone[static_cast<std::size_t>(layer)] = outputs[static_cast<std::size_t>(layer)];
    out.push_back(prior::head_values(heads_, alone)[h].argmax(1));
  }
  return out;
}

Tested LabelRun::test(const Chunk& chunk) const {
  const c10::NoGradGuard no_grad;
  const auto images = split_members(in_.dataset, data::Split::kTest, chunk.first, chunk.size);
  const std::vector<std::uint32_t> visits(images.size(), visits::kLabelTest);
  const at::Tensor x = vae::image_tensor(in_.dataset.read(images)).to(device_);
  const at::Tensor noise = vae::posterior_noise(
      {static_cast<std::uint64_t>(options_.seed), 0, Purpose::kPosterior}, images, visits, in_.backbone.dim());
  const auto outputs = chain_.label_outputs(in_.backbone.posterior(x, noise.to(device_)).u);
  const auto values = prior::head_values(heads_, outputs);
  const at::Tensor classes = in_.features.net->logits_of_features(in_.features.net->features(x)).argmax(1);
  Tested out;
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    std::vector<std::int64_t> truth;
    for (const auto image : images) truth.push_back(readers_[h].column().values[static_cast<std::size_t>(image)]);
    out.cross_entropy.push_back(
        chunk.keep(prior::cross_entropy(values[h], step_variance_, nets::on_device(truth, device_))));
    out.said.push_back(chunk.keep(values[h].argmax(1)));
    out.read.push_back(chunk.keep(readers_[h].read(x, classes)));
    out.said_by_layer.push_back(chunk.keep(at::stack(likeliest_by_layer(h, outputs), 1)));
  }
  return out;
}

void LabelRun::add(const Chunk& chunk, const Tested& tested) {
  const auto images = split_members(in_.dataset, data::Split::kTest, chunk.first, chunk.count);
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    TestSums& sums = tests_[h];
    const auto* said = tested.said[h].const_data_ptr<std::int64_t>();
    const auto* read = tested.read[h].const_data_ptr<std::int64_t>();
    const auto* by_layer = tested.said_by_layer[h].const_data_ptr<std::int64_t>();
    for (std::size_t b = 0; b < images.size(); ++b) {
      const std::int64_t truth = readers_[h].column().values[static_cast<std::size_t>(images[b])];
      ++sums.categories[static_cast<std::size_t>(truth)];
      sums.cross_entropy += tested.cross_entropy[h].const_data_ptr<float>()[b];
      sums.hits += said[b] == truth ? 1 : 0;
      sums.read_hits += read[b] == truth ? 1 : 0;
      for (auto& hits : sums.layer_hits) hits += *by_layer++ == truth ? 1 : 0;
    }
  }
}

prior::LabelChoice LabelRun::choice(std::size_t set, const Chunk& chunk) const {
  at::Tensor asked = at::full({chunk.size, std::ssize(heads_)}, -1, at::kLong);
  for (std::int64_t b = 0; set > 0 && b < chunk.size; ++b) {
    asked.select(0, b).select(0, static_cast<std::int64_t>(set) - 1).fill_((chunk.first + b) % categories_of(set - 1));
  }
  return {asked.to(device_), guidance_.guidance};
}

Drawn LabelRun::draw(const Chunk& chunk) const {
  const c10::NoGradGuard no_grad;
  const auto ids = prior::chain_ids(static_cast<std::uint64_t>(options_.seed), chunk.first, chunk.size);
  const auto unlabelled = prior::draw_candidates(chain_, 1, ids);
  const auto candidates =
      guidance_.candidates == 1 ? unlabelled : prior::draw_candidates(chain_, guidance_.candidates, ids);
  Drawn out;
  for (std::size_t set = 0; set <= heads_.size(); ++set) {
    const at::Tensor u0 = prior::finish_for_labels(chain_, set == 0 ? unlabelled : candidates, choice(set, chunk), ids);
    const Seen seen = see(in_, u0);
    const auto values = prior::head_values(heads_, chain_.label_outputs(u0));
    std::vector<at::Tensor> read, said;
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      read.push_back(readers_[h].read(seen.x, seen.classes));
      said.push_back(values[h].argmax(1));
    }
    out.features.push_back(chunk.keep(seen.features));
    out.read.push_back(chunk.keep(at::stack(read, 1)));
    out.said.push_back(chunk.keep(at::stack(said, 1)));
    out.pictures.push_back(chunk.keep_below(set == 0 ? 0 : options_.columns * categories_of(set - 1), seen.x).clone());
  }
  return out;
}

void LabelRun::add(const Chunk& chunk, const Drawn& drawn) {
  for (std::size_t set = 0; set < sets_.size(); ++set) {
    DrawnSet& sums = sets_[set];
    sums.features.add(drawn.features[set]);
    sums.pictures.push_back(drawn.pictures[set]);
    const auto* read = drawn.read[set].const_data_ptr<std::int64_t>();
    const auto* said = drawn.said[set].const_data_ptr<std::int64_t>();
    for (std::int64_t b = 0; b < chunk.count; ++b, read += heads_.size(), said += heads_.size()) {
      if (set == 0) {
        for (std::size_t h = 0; h < heads_.size(); ++h) ++sums.read[h][static_cast<std::size_t>(read[h])];
        continue;
      }
      const std::int64_t asked = (chunk.first + b) % categories_of(set - 1);
      ++sums.read[static_cast<std::size_t>(asked)][static_cast<std::size_t>(read[set - 1])];
      sums.own += said[set - 1] == asked ? 1 : 0;
    }
  }
}

std::vector<double> shares(const std::vector<std::int64_t>& counts) {
  double total = 0;
  for (const auto n : counts) total += static_cast<double>(n);
  std::vector<double> out;
  for (const auto n : counts) out.push_back(total > 0 ? static_cast<double>(n) / total : 0.0);
  return out;
}

std::vector<results::LabelCategory> LabelRun::by_category(std::size_t h) const {
  const std::vector<double> of_data = shares(tests_[h].categories), free = shares(sets_[0].read[h]);
  std::vector<results::LabelCategory> out;
  for (std::size_t y = 0; y < of_data.size(); ++y) {
    const auto& read_as = sets_[h + 1].read[y];
    out.push_back({heads_[h].categories[y], shares(read_as)[y], read_as, of_data[y], free[y]});
  }
  return out;
}

results::LabelHead LabelRun::head(std::size_t h, const Moments& real) const {
  const TestSums& test = tests_[h];
  const DrawnSet& drawn = sets_[h + 1];
  const auto n = static_cast<double>(options_.num_test), samples = static_cast<double>(options_.num_samples);
  results::LabelHead out{heads_[h].name, heads_[h].layers, {}, {}, 0, by_category(h)};
  out.test = {static_cast<double>(test.hits) / n, test.cross_entropy / n, static_cast<double>(test.read_hits) / n, {}};
  for (std::size_t k = 0; k < out.layers.size(); ++k)
    out.test.by_layer.push_back({out.layers[k], static_cast<double>(test.layer_hits[k]) / n});
  std::int64_t hits = 0;
  for (std::size_t y = 0; y < drawn.read.size(); ++y) {
    hits += drawn.read[y][y];
    const auto& category = out.by_category[y];
    out.imbalance_without_label += 0.5 * std::abs(category.share_of_test_images - category.share_without_label);
  }
  const double score_of_head = score(h + 1, real);
  out.drawn = {static_cast<double>(hits) / samples, static_cast<double>(drawn.own) / samples, score_of_head,
      score_of_head / score(0, real)};
  return out;
}

// Chain c is in row c mod C.
void LabelRun::write_pictures(std::size_t h, const fs::path& file) const {
  const at::Tensor all = at::cat(sets_[h + 1].pictures);
  const std::int64_t categories = categories_of(h), columns = all.size(0) / categories;
  if (columns == 0) return;
  const at::Tensor rows = all.narrow(0, 0, columns * categories).unflatten(0, {columns, categories});
  write_grid(file, rows.transpose(0, 1).flatten(0, 1), columns);
}

}  // namespace

results::Labels labels(const LabelsOptions& options, const LabelGuidance& guidance, const ExperimentInputs& inputs,
    comm::Communicator& comm, Logger& logger, const fs::path& directory, const std::string& name) {
  const auto& heads = inputs.prior.heads();
  check(!heads.empty(), ExitCode::kUsage, "labels: the prior has no label heads");
  const auto available = std::ssize(inputs.dataset.members(data::Split::kTest));
  check(options.num_test <= available, ExitCode::kUsage, "{}: {} test images, labels.num_test is {}",
      inputs.dataset.path().string(), available, options.num_test);
  const Timer timer;
  LabelRun run(options, guidance, inputs);
  const Moments real = training_moments(inputs.dataset, inputs.features, options.chunk, comm, logger);
  for_chunks<Tested>(
      {options.num_test, options.chunk, "p(y | u_0) of test images"}, comm, logger,
      [&](const Chunk& chunk) { return run.test(chunk); },
      [&](const Chunk& chunk, const Tested& tested) { run.add(chunk, tested); });
  for_chunks<Drawn>(
      {options.num_samples, options.chunk, "images for labels"}, comm, logger,
      [&](const Chunk& chunk) { return run.draw(chunk); },
      [&](const Chunk& chunk, const Drawn& drawn) { run.add(chunk, drawn); });
  results::Labels out;
  comm::agree(comm, [&] {
    if (!comm.is_root()) return;
    for (std::size_t h = 0; h < heads.size(); ++h) {
      out.heads.push_back(run.head(h, real));
      run.write_pictures(h, directory / fmt::format("labels-{}-{}.png", name, heads[h].name));
    }
    out.fd_fmnist_without_label = run.score(0, real);
  });
  out.name = name;
  out.num_test = options.num_test;
  out.num_samples = options.num_samples;
  out.guidance = guidance.guidance;
  out.candidates = guidance.candidates;
  out.steps = inputs.langevin.steps_at(0);
  out.num_layers = std::ssize(inputs.backbone.groups());
  out.features = classifier(inputs.features);
  out.seconds = timer.seconds();
  return out;
}

}  // namespace hebm::evaluate
