#include "train/train_features.h"
#include <ATen/TensorIndexing.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include "base/error.h"
#include "nets/device.h"
#include "nets/one_thread.h"
#include "storage/run_files.h"
#include "train/measure.h"
#include "train/micro_batches.h"
#include "vae/inputs.h"

namespace hebm::train {
namespace {

nlohmann::json fingerprint_of(const FeatureTrainOptions& o, const data::Dataset& dataset) {
  return {{"images_hash", dataset.images_hash()}, {"features.epochs", o.epochs}, {"features.seed", o.seed},
      {"features.batch", o.batch}, {"features.micro_batch", o.micro_batch}, {"features.learning_rate", o.rate.base},
      {"features.ema", o.ema}, {"features.max_shift", o.max_shift}};
}

// An epoch moves an image by up to max_shift pixels each way.
Shift draw_shift(const RandomKey& key, std::int64_t image, std::uint32_t epoch, std::int64_t max_shift) {
  const auto draw = [&](std::uint32_t k) {
    const RandomCounter counter{.item = static_cast<std::uint32_t>(image), .visit = epoch, .k = k};
    return std::int64_t{draw_below(static_cast<std::uint32_t>(2 * max_shift + 1), key, counter)} - max_shift;
  };
  return {draw(0), draw(1)};
}

std::vector<std::int64_t> labels_of(const data::Dataset& dataset, const std::vector<std::int64_t>& images) {
  std::vector<std::int64_t> out;
  for (const auto image : images) out.push_back(dataset.labels()[static_cast<std::size_t>(image)]);
  return out;
}

class FeatureObjective final : public Objective {
 public:
  FeatureObjective(const FeatureTrainOptions& options, nets::FeatureNet& net, const data::Dataset& dataset,
      const comm::Communicator& comm)
      : Objective(options, {{"", net.params()}}, Recorder(2, 1, net.params().device()), comm),
        settings_(options),
        net_(net),
        dataset_(dataset),
        images_(dataset.members(data::Split::kTrain), batches_, static_cast<std::uint64_t>(options.seed)) {}

  // Cross-entropy of one micro-batch of shifted images.
  void learn(const Work& work, GradientSum& gradients) override {
    const auto [positions, images, epochs] = images_.of(work);
    const RandomKey key{static_cast<std::uint64_t>(settings_.seed), work.update.attempt, Purpose::kAugment};
    std::vector<Shift> shifts;
    for (std::size_t b = 0; b < images.size(); ++b)
      shifts.push_back(draw_shift(key, images[b], epochs[b], settings_.max_shift));
    const auto device = net_.params().device();
    const at::Tensor x = shifted_images(dataset_.read(images), shifts, device);
    const at::Tensor target = nets::on_device(labels_of(dataset_, images), device);
    const c10::AutoGradMode grad_on(true);
    const at::Tensor logits = net_.logits(x);
    const at::Tensor loss =
        at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum).div(static_cast<double>(batches_.batch));
    torch::autograd::backward({loss}, {});
    gradients.backward_done(0);
    record_.add(kLoss, loss);
    record_.add(kHits, logits.argmax(1).eq(target).sum());
  }

  storage::Scalars describe(const Report& report) const override {
    storage::Scalars out = Objective::describe(report);
    out.emplace_back("train_accuracy", record_.at(kHits) / static_cast<double>(batches_.batch));
    return out;
  }
 private:
  static constexpr std::size_t kHits = kLoss + 1;
  const FeatureTrainOptions& settings_;
  nets::FeatureNet& net_;
  const data::Dataset& dataset_;
  WorkImages images_;
};

}  // namespace

FeatureTrainOptions::FeatureTrainOptions() {
  section = "features";
  name = subject = "train-features";
  advice = "take a smaller features.learning_rate";
  micro_batch = 16;
  rate = {.base = 2e-3, .kind = nets::RateKind::kLinear, .final_fraction = 0.01};
  ema = 0.998;
  checkpoint_every = 300;
  log_every = 50;
  deterministic = true;
}

void FeatureTrainOptions::describe(Options& o) {
  o.add("features.epochs", &epochs, "passes over the training images", {1e-6, 1e6}, Show::kCommon);
  o.add("features.seed", &seed, "seed of the classifier alone, so that scores of all runs compare", {0, 1000000000});
  describe_batch(o, Show::kAll);
  o.add("features.learning_rate", &rate.base, "Adam's step size, falling linearly to a hundredth", {1e-12, 10.0});
  o.add("features.ema", &ema, "decay of the averaged weights", {0.0, 0.999999});
  o.add("features.max_shift", &max_shift, "training images move by up to so many pixels each way", {0, 64});
  o.add("features.min_accuracy", &min_accuracy, "least accuracy on the test images", {0.0, 1.0}, Show::kCommon);
  describe_keeping(o);
}

std::int64_t count_classes(const data::Dataset& dataset) {
  check(!dataset.labels().empty(), ExitCode::kUsage,
      "{}: the feature classifier needs labels, the data set has none; import it with labels", dataset.path().string());
  const auto [low, high] = std::minmax_element(dataset.labels().begin(), dataset.labels().end());
  check(*low >= 0 && *high < 1000, ExitCode::kCorrupt, "{}: expected labels 0 to 999, got {} to {}",
      dataset.path().string(), *low, *high);
  return std::max<std::int64_t>(2, *high + 1);
}

TrainingResult train_features(
    FeatureTrainOptions options, const data::Dataset& dataset, TrainingRun run, at::Device device) {
  const auto file = run.directory / std::filesystem::path(storage::run_files::kFeatures).filename();
  run.fingerprint = fingerprint_of(options, dataset);
  if (artifact_done(file, nets::kFeaturesFormat, nets::kFeaturesVersion, run.fingerprint, run.comm, run.logger))
    return {};
  const nets::OneThread one_thread;
  nets::FeatureNet net(dataset.shape(), count_classes(dataset), static_cast<std::uint64_t>(options.seed));
  net.params().to(device);
  options.updates = feature_updates(options, dataset.members(data::Split::kTrain).size());
  FeatureObjective objective(options, net, dataset, run.comm);
  return TrainingLoop(objective, run).run_to_artifact([&] {
    const data::Split split = judged_split(dataset);
    const double accuracy = measure_accuracy(net, dataset, split, run.comm, run.logger);
    run.logger.line("feature classifier: accuracy {:.4f} on the {} images, hash {}", accuracy,
        split == data::Split::kTest ? "test" : "training", net.hash());
    check(accuracy >= options.min_accuracy, ExitCode::kRuntime,
        "the feature classifier reached an accuracy of {:.4f}, expected at least features.min_accuracy = {}; train "
        "longer (features.epochs), or lower the demand if this data set is harder",
        accuracy, options.min_accuracy);
    comm::on_root(run.comm, [&] { nets::save_feature_net(file, net, accuracy, run.fingerprint); });
  });
}

double measure_accuracy(const nets::FeatureNet& net, const data::Dataset& dataset, data::Split split,
    comm::Communicator& comm, Logger& logger) {
  const auto& members = dataset.members(split);
  const auto hits =
      measure_chunks(members, std::ssize(members), 1, comm, logger, [&](const auto& images, std::int64_t real) {
        const auto device = net.params().device();
        const at::Tensor guess = net.logits(vae::image_tensor(dataset.read(images)).to(device)).argmax(1);
        return std::vector<double>{sum_of(guess.eq(nets::on_device(labels_of(dataset, images), device)), real)};
      });
  return std::accumulate(hits.begin(), hits.end(), 0.0) /
         static_cast<double>(std::max<std::int64_t>(1, std::ssize(members)));
}

at::Tensor shifted_images(const ImageBatch& images, const std::vector<Shift>& shifts, at::Device device) {
  const auto [channels, height, width] = images.shape;
  std::int64_t border = 0;
  for (const auto& [dy, dx] : shifts) border = std::max({border, std::abs(dy), std::abs(dx)});
  // By image: its number, and where its rows and columns come from in the images with a border.
  std::vector<std::int64_t> from;
  for (std::size_t b = 0; b < shifts.size(); ++b) {
    from.push_back(static_cast<std::int64_t>(b));
    for (std::int64_t y = 0; y < height; ++y) from.push_back(y - shifts[b].dy + border);
    for (std::int64_t x = 0; x < width; ++x) from.push_back(x - shifts[b].dx + border);
  }
  const auto part = nets::on_device(from, device).view({images.count, -1}).split_with_sizes({1, height, width}, 1);
  // The byte tensor only looks at the batch's memory.
  const at::Tensor bytes = at::from_blob(const_cast<std::uint8_t*>(images.pixels.data()),
      {images.count, channels, height, width}, at::TensorOptions(at::kByte))
                               .to(device);
  const at::Tensor bordered =
      at::constant_pad_nd(bytes, {border, border, border, border}).permute({0, 2, 3, 1});  // [B, H, W, C]
  const at::Tensor moved = bordered.index({part[0].unsqueeze(2), part[1].unsqueeze(2), part[2].unsqueeze(1)});
  return at::empty(bytes.sizes(), bytes.options().dtype(at::kFloat)).copy_(moved.permute({0, 3, 1, 2})).div_(255.0);
}

}  // namespace hebm::train
