#include "evaluate/labels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/options.h"
#include "base/visits.h"
#include "evaluate/frechet.h"
#include "evaluate/label_reader.h"
#include "evaluate/training_moments.h"
#include "nets/device.h"
#include "prior/forward_pair.h"
#include "prior/label_draws.h"
#include "storage/png.h"
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

constexpr std::int64_t kFeatures = nets::FeatureNet::kFeatures;

// Images drawn without a label, or with those of one head.
struct DrawnSet {
  FeatureSums features = FeatureSums::with_zero_reference(kFeatures);
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
        device_(inputs.backbone.params().device()) {
    for (const auto& head : heads_) readers_.emplace_back(head, inputs.dataset, *inputs.features.net);
  }

  nlohmann::json run(comm::Communicator& comm, Logger& logger, const fs::path& directory, const std::string& name);

 private:
  std::int64_t num_heads() const { return static_cast<std::int64_t>(heads_.size()); }
  std::int64_t categories_of(std::size_t h) const { return static_cast<std::int64_t>(heads_[h].categories.size()); }
  at::Tensor classes_of(const at::Tensor& features) const {
    return in_.features.net->logits_of_features(features).argmax(1);
  }
  // Columns of one test image and head: cross-entropy, likeliest category, that of each layer
  // alone, and what the reader says.
  std::int64_t test_columns(std::size_t h) const { return 3 + static_cast<std::int64_t>(heads_[h].layers.size()); }
  at::Tensor test(std::int64_t first) const;
  void add_test(std::int64_t first, const at::Tensor& numbers);
  // Set 0 is without a label, set 1 + h has those of head h. Of each image: features, and by head
  // what the reader and p(y | u_0) say.
  at::Tensor draw(std::int64_t first) const;
  void add_drawn(std::int64_t first, at::Tensor numbers);
  std::int64_t shown(std::size_t h, std::int64_t first, std::int64_t images) const {
    return std::clamp<std::int64_t>(options_.columns * categories_of(h) - first, 0, images);
  }
  nlohmann::json head_json(std::size_t h, const Moments& real) const;
  void write_grid(std::size_t h, const fs::path& file) const;

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

at::Tensor LabelRun::test(std::int64_t first) const {
  const c10::NoGradGuard no_grad;
  const auto images = split_members(in_.dataset, data::Split::kTest, first, options_.chunk);
  const std::vector<std::uint32_t> visits(images.size(), visits::kLabelTest);
  const at::Tensor x = vae::image_tensor(in_.dataset.read(images)).to(device_);
  const at::Tensor noise = vae::posterior_noise({static_cast<std::uint64_t>(options_.seed), 0, Purpose::kPosterior},
                                                images, visits, in_.backbone.dim());
  const auto outputs = chain_.label_outputs(in_.backbone.posterior(x, noise.to(device_)).u);
  const auto values = prior::head_values(heads_, outputs);
  const at::Tensor classes = classes_of(in_.features.net->features(x));
  std::vector<at::Tensor> columns;
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    std::vector<std::int64_t> truth;
    for (const auto image : images) truth.push_back(readers_[h].column().values[static_cast<std::size_t>(image)]);
    columns.push_back(prior::cross_entropy(values[h], step_variance_, nets::on_device(truth, device_)));
    columns.push_back(values[h].argmax(1).to(at::kFloat));
    for (const auto layer : heads_[h].layers) {
      std::vector<at::Tensor> alone;
      for (const auto& g : outputs) alone.push_back(g.defined() ? at::zeros_like(g) : g);
      alone[static_cast<std::size_t>(layer)] = outputs[static_cast<std::size_t>(layer)];
      columns.push_back(prior::head_values(heads_, alone)[h].argmax(1).to(at::kFloat));
    }
    columns.push_back(readers_[h].read(x, classes).to(at::kFloat));
  }
  for (auto& column : columns) column = column.unsqueeze(1);
  return at::cat(columns, 1).narrow(0, 0, std::min(options_.chunk, options_.num_test - first)).to(at::kCPU);
}

void LabelRun::add_test(std::int64_t first, const at::Tensor& numbers) {
  std::int64_t width = 0;
  for (std::size_t h = 0; h < heads_.size(); ++h) width += test_columns(h);
  const std::int64_t count = numbers.size(0) / width;
  const auto images = split_members(in_.dataset, data::Split::kTest, first, count);
  const float* row = numbers.const_data_ptr<float>();
  for (const auto image : images) {
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      TestSums& sums = tests_[h];
      const std::int64_t truth = readers_[h].column().values[static_cast<std::size_t>(image)];
      const auto hit = [&](float category) { return static_cast<std::int64_t>(category) == truth ? 1 : 0; };
      ++sums.categories[static_cast<std::size_t>(truth)];
      sums.cross_entropy += *row++;
      sums.hits += hit(*row++);
      for (auto& hits : sums.layer_hits) hits += hit(*row++);
      sums.read_hits += hit(*row++);
    }
  }
}

at::Tensor LabelRun::draw(std::int64_t first) const {
  const c10::NoGradGuard no_grad;
  const auto ids = prior::chain_ids(static_cast<std::uint64_t>(options_.seed), first, options_.chunk);
  const std::int64_t images = std::min(options_.chunk, options_.num_samples - first);
  const auto unlabelled = prior::draw_candidates(chain_, 1, ids);
  const auto candidates =
      guidance_.candidates == 1 ? unlabelled : prior::draw_candidates(chain_, guidance_.candidates, ids);
  std::vector<at::Tensor> numbers, pictures;
  for (std::size_t set = 0; set <= heads_.size(); ++set) {
    prior::LabelChoice choice{at::full({options_.chunk, num_heads()}, -1, at::kLong), guidance_.guidance};
    for (std::int64_t b = 0; set > 0 && b < options_.chunk; ++b) {
      choice.category.select(0, b)
          .select(0, static_cast<std::int64_t>(set) - 1)
          .fill_((first + b) % categories_of(set - 1));
    }
    choice.category = choice.category.to(device_);
    const at::Tensor u0 = prior::finish_for_labels(chain_, set == 0 ? unlabelled : candidates, choice, ids);
    const at::Tensor x = in_.backbone.mean_image(in_.backbone.decode(u0)), features = in_.features.net->features(x),
                     classes = classes_of(features);
    const auto values = prior::head_values(heads_, chain_.label_outputs(u0));
    std::vector<at::Tensor> columns = {features};
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      columns.push_back(readers_[h].read(x, classes).to(at::kFloat).unsqueeze(1));
      columns.push_back(values[h].argmax(1).to(at::kFloat).unsqueeze(1));
    }
    numbers.push_back(at::cat(columns, 1).narrow(0, 0, images).flatten());
    if (set > 0) pictures.push_back(x.narrow(0, 0, shown(set - 1, first, images)).flatten());
  }
  numbers.insert(numbers.end(), pictures.begin(), pictures.end());
  return at::cat(numbers).to(at::kCPU);
}

void LabelRun::add_drawn(std::int64_t first, at::Tensor numbers) {
  const std::int64_t images = std::min(options_.chunk, options_.num_samples - first),
                     width = kFeatures + 2 * num_heads();
  const auto take = [&numbers](std::int64_t count) {
    const at::Tensor part = numbers.narrow(0, 0, count);
    numbers = numbers.narrow(0, count, numbers.size(0) - count);
    return part;
  };
  for (std::size_t set = 0; set <= heads_.size(); ++set) {
    const at::Tensor rows = take(images * width).view({images, width});
    sets_[set].features.add(rows.narrow(1, 0, kFeatures));
    const at::Tensor said = rows.narrow(1, kFeatures, 2 * num_heads()).to(at::kLong).contiguous();
    const auto* values = said.const_data_ptr<std::int64_t>();
    for (std::int64_t b = 0; b < images; ++b, values += 2 * num_heads()) {
      if (set == 0) {
        for (std::size_t h = 0; h < heads_.size(); ++h) ++sets_[0].read[h][static_cast<std::size_t>(values[2 * h])];
        continue;
      }
      const std::int64_t asked = (first + b) % categories_of(set - 1), *of_head = values + 2 * (set - 1);
      ++sets_[set].read[static_cast<std::size_t>(asked)][static_cast<std::size_t>(of_head[0])];
      sets_[set].own += of_head[1] == asked ? 1 : 0;
    }
  }
  const ImageShape shape = in_.backbone.image_shape();
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    const std::int64_t count = shown(h, first, images);
    sets_[h + 1].pictures.push_back(
        take(count * shape.size()).view({count, shape.channels, shape.height, shape.width}));
  }
}

std::vector<double> shares(const std::vector<std::int64_t>& counts) {
  double total = 0;
  for (const auto n : counts) total += static_cast<double>(n);
  std::vector<double> out;
  for (const auto n : counts) out.push_back(total > 0 ? static_cast<double>(n) / total : 0.0);
  return out;
}

nlohmann::json LabelRun::head_json(std::size_t h, const Moments& real) const {
  const TestSums& test = tests_[h];
  const auto n = static_cast<double>(options_.num_test);
  auto by_layer = nlohmann::json::array();
  for (std::size_t k = 0; k < heads_[h].layers.size(); ++k) {
    by_layer.push_back({{"layer", heads_[h].layers[k]}, {"accuracy", static_cast<double>(test.layer_hits[k]) / n}});
  }
  const std::vector<double> of_data = shares(test.categories), free = shares(sets_[0].read[h]);
  double imbalance = 0;
  for (std::size_t y = 0; y < of_data.size(); ++y) imbalance += 0.5 * std::abs(of_data[y] - free[y]);
  const DrawnSet& drawn = sets_[h + 1];
  std::int64_t hits = 0;
  auto by_category = nlohmann::json::array();
  for (std::size_t y = 0; y < drawn.read.size(); ++y) {
    const auto row = shares(drawn.read[y]);
    hits += drawn.read[y][y];
    by_category.push_back({{"category", heads_[h].categories[y]},
                           {"accuracy", row[y]},
                           {"read_as", drawn.read[y]},
                           {"share_of_test_images", of_data[y]},
                           {"share_without_label", free[y]}});
  }
  const auto samples = static_cast<double>(options_.num_samples);
  const double score = frechet_distance(real, drawn.features.moments()).total(),
               unlabelled = frechet_distance(real, sets_[0].features.moments()).total();
  return {{"name", heads_[h].name},
          {"layers", heads_[h].layers},
          {"test",
           {{"accuracy", static_cast<double>(test.hits) / n},
            {"cross_entropy", test.cross_entropy / n},
            {"reader_accuracy", static_cast<double>(test.read_hits) / n},
            {"by_layer", by_layer}}},
          {"drawn",
           {{"accuracy", static_cast<double>(hits) / samples},
            {"own_accuracy", static_cast<double>(drawn.own) / samples},
            {"fd_fmnist", score},
            {"fd_fmnist_ratio", score / unlabelled}}},
          {"imbalance_without_label", imbalance},
          {"by_category", by_category}};
}

// Chain c is in row c mod C.
void LabelRun::write_grid(std::size_t h, const fs::path& file) const {
  const at::Tensor all = at::cat(sets_[h + 1].pictures);
  const std::int64_t categories = categories_of(h), columns = all.size(0) / categories;
  if (columns == 0) return;
  const at::Tensor rows =
      all.narrow(0, 0, columns * categories).unflatten(0, {columns, categories}).transpose(0, 1).flatten(0, 1);
  storage::write_png_grid(file, vae::image_batch(rows), columns);
}

nlohmann::json LabelRun::run(comm::Communicator& comm, Logger& logger, const fs::path& directory,
                             const std::string& name) {
  const Timer timer;
  sets_.resize(heads_.size() + 1);
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    const std::vector<std::int64_t> none(heads_[h].categories.size(), 0);
    tests_.push_back({0, 0, 0, std::vector<std::int64_t>(heads_[h].layers.size(), 0), none});
    sets_[0].read.push_back(none);
    sets_[h + 1].read.assign(none.size(), none);
  }
  const Moments real = training_moments(in_.dataset, in_.features, options_.chunk, comm, logger);
  for_chunks(
      options_.num_test, options_.chunk, [&](std::int64_t first) { return test(first); },
      [&](std::int64_t first, const at::Tensor& numbers) { add_test(first, numbers); }, comm, logger,
      "p(y | u_0) of test images");
  for_chunks(
      options_.num_samples, options_.chunk, [&](std::int64_t first) { return draw(first); },
      [&](std::int64_t first, const at::Tensor& numbers) { add_drawn(first, numbers); }, comm, logger,
      "images for labels");
  nlohmann::json out = {{"name", name},
                        {"num_test", options_.num_test},
                        {"num_samples", options_.num_samples},
                        {"guidance", guidance_.guidance},
                        {"candidates", guidance_.candidates},
                        {"steps", in_.langevin.steps_at(0)},
                        {"num_layers", in_.backbone.groups().size()}};
  comm::agree(comm, [&] {
    out["heads"] = nlohmann::json::array();
    for (std::size_t h = 0; h < heads_.size(); ++h) out["heads"].push_back(head_json(h, real));
    out["fd_fmnist_without_label"] = frechet_distance(real, sets_[0].features.moments()).total();
    if (!comm.is_root()) return;
    fs::create_directories(directory);
    for (std::size_t h = 0; h < heads_.size(); ++h)
      write_grid(h, directory / fmt::format("labels-{}-{}.png", name, heads_[h].name));
  });
  out["features"] = {{"accuracy", in_.features.accuracy}, {"hash", in_.features.hash}};
  out["seconds"] = timer.seconds();
  return out;
}

}  // namespace

nlohmann::json labels(const LabelsOptions& options, const LabelGuidance& guidance, const ExperimentInputs& inputs,
                      comm::Communicator& comm, Logger& logger, const fs::path& directory, const std::string& name) {
  check(!inputs.prior.heads().empty(), ExitCode::kUsage, "labels: the prior has no label heads");
  const auto available = static_cast<std::int64_t>(inputs.dataset.members(data::Split::kTest).size());
  check(options.num_test <= available, ExitCode::kUsage, "{}: {} test images, labels.num_test is {}",
        inputs.dataset.path().string(), available, options.num_test);
  return LabelRun(options, guidance, inputs).run(comm, logger, directory, name);
}

}  // namespace hebm::evaluate
