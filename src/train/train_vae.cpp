#include "train/train_vae.h"
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <cmath>
#include <utility>
#include "base/error.h"
#include "storage/run_files.h"
#include "train/measure.h"
#include "train/micro_batches.h"
#include "train/vae_update.h"
#include "vae/inputs.h"
#include "vae/kl_balance.h"
#include "vae/kl_target.h"
#include "vae/weights_file.h"

namespace hebm::train {

std::int64_t vae_updates(const VaeTrainOptions& options, std::size_t num_images) {
  check(num_images > 0, ExitCode::kUsage, "the data set has no training images");
  return epoch_updates(options.epochs, num_images, options.batch);
}

namespace {

constexpr std::int64_t kElboImages = 2000;
constexpr double kDeadLayer = 1.0;                // nats: a layer below it carries nothing
constexpr std::int64_t kStatisticsBatches = 100;  // with momentum 0.05 the earlier statistics keep a weight of 0.6 %

nets::SumOverRanks sum_over(comm::Communicator& comm) {
  if (comm.size() == 1) return {};
  return [&comm](std::span<double> values) { comm.all_reduce(values, comm::Op::kSum); };
}

class VaeObjective final : public Objective {
 public:
  VaeObjective(const VaeTrainOptions& options, vae::Backbone& backbone,
      std::unique_ptr<vae::BatchStatistics> statistics, const data::Dataset& dataset, std::uint64_t seed,
      const TrainingRun& run)
      : Objective(options, {{"", backbone.params()}},
            Recorder(kKl + backbone.groups().size() + 1, 1, backbone.params().device()), run.comm),
        settings_(options),
        backbone_(backbone),
        statistics_(std::move(statistics)),
        input_{backbone, dataset, seed, options.binarise},
        images_(dataset.members(data::Split::kTrain), batches_, seed),
        comm_(run.comm),
        shares_(vae::kl_shares(backbone.groups())),
        held_(options.kl_targets, options.kl_ramp) {
    if (!statistics_ || !settings_.recompute) return;
    statistics_->recompute(true);
    nets::let_go_from(goes_back_from(true));
  }

  const VaeInput& input() const { return input_; }
  std::vector<nets::NamedTensor> extra_state() const override {
    return statistics_ ? statistics_->state() : std::vector<nets::NamedTensor>();
  }

  nlohmann::json saved() const override {
    if (settings_.kl_targets.empty()) return {};
    return {{"kl_targets", held_.state()}};
  }
  void resume(std::int64_t /*update*/, const nlohmann::json& saved) override {
    held_.restore(saved.is_object() ? saved.value("kl_targets", nlohmann::json()) : nlohmann::json());
  }

  // The starting weights' part that needs data or many iterations.
  void prepare() override {
    if (settings_.data_init) {
      const auto batch = load_agreed(0);
      statistics_->initialise(batch.x, batch.eps);
    }
    if (settings_.spectral > 0.0) statistics_->warm_up();
  }

  void learn(const Work& work, GradientSum& gradients) override {
    const bool penalised = settings_.spectral > 0.0;
    const VaeLoss made = vae_backward(backbone_, statistics_.get(), load(work),
        {.batch = batches_.batch,
            .micro_batch = batches_.size,
            .ranks = comm_.size(),
            .free_bits = settings_.free_bits,
            .penalised = penalised,
            .penalty_weight = penalised ? spectral_weight(work.update) : 0.0,
            .kl_weights = [&](const auto& kl) { return layer_weights(work.update, kl); }});
    gradients.backward_done(0);
    record_.add(kLoss, made.loss);
    record_.add(kLogLikelihood, made.log_likelihood);
    for (std::size_t i = 0; i < made.kl.size(); ++i) record_.add(kKl + i, made.kl[i]);
    if (penalised) record_.add(penalty_field(), made.penalty);
  }

  std::string judge(const Update& update, const std::string& of_gradients) override {
    std::string why = Objective::judge(update, of_gradients);
    if (why.empty() && !settings_.kl_targets.empty()) held_.observe(mean_kl(), update.number, update.total);
    return why;
  }

  storage::Scalars describe(const Report& report) const override {
    const auto batch = static_cast<double>(batches_.batch);
    storage::Scalars out = Objective::describe(report);
    out.emplace_back("log_likelihood", record_.at(kLogLikelihood) / batch);
    const std::vector<double> kl = mean_kl();
    for (std::size_t i = 0; i < kl.size(); ++i) out.emplace_back(fmt::format("kl/layer{}", i), kl[i]);
    if (settings_.kl_targets.empty()) {
      out.emplace_back("kl_weight", settings_.kl_weight * annealed(report.update));
    } else {
      for (std::size_t i = 0; i < kl.size(); ++i) {
        out.emplace_back(fmt::format("kl_weight/layer{}", i), held_.weights()[i]);
        out.emplace_back(
            fmt::format("kl_target/layer{}", i), held_.target(i, report.update.number, report.update.total));
      }
    }
    if (settings_.spectral > 0.0) {
      out.emplace_back("spectral_penalty", record_.at(penalty_field()));
      out.emplace_back("spectral_weight", spectral_weight(report.update));
    }
    return out;
  }

  // Batch-norm statistics of the averaged weights: those of the last training batches' differ.
  void adopt_statistics() {
    const c10::NoGradGuard no_grad;
    if (!statistics_ || settings_.ema <= 0.0) return;
    for (std::int64_t k = 0; k < kStatisticsBatches; ++k) {
      const auto batch = load_agreed(options_.updates + k);
      statistics_->begin_update(false);
      statistics_->decode(statistics_->posterior(batch.x, batch.eps));
      statistics_->end_update({});
    }
  }
 private:
  enum Field : std::size_t { kLogLikelihood = 1, kKl = 2 };  // behind kLoss; then the layers' KL and the penalty
  std::size_t penalty_field() const { return kKl + shares_.size(); }

  VaeInput::Batch load(const Work& work) const {
    const auto [positions, images, epochs] = images_.of(work);
    return input_.load(images, epochs, work.update.attempt);
  }

  // All of this rank's of an update, for what the ranks compute together.
  VaeInput::Batch load_agreed(std::int64_t update) const {
    VaeInput::Batch out;
    comm::agree(comm_, [&] { out = load({{update, options_.updates, 0}, batches_.first, batches_.last}); });
    return out;
  }
  // Of the global batch, by layer, nats an image.
  std::vector<double> mean_kl() const {
    std::vector<double> out;
    for (std::size_t i = 0; i < shares_.size(); ++i)
      out.push_back(record_.at(kKl + i) / static_cast<double>(batches_.batch));
    return out;
  }
  // What KL_i is multiplied by: what holds it at its target; or beta, and while it grows the
  // balance over layers (NVAE, App. A).
  std::vector<double> layer_weights(const Update& update, const std::vector<at::Tensor>& of_layers) const {
    if (!settings_.kl_targets.empty()) return held_.weights();
    const double weight = settings_.kl_weight * annealed(update);
    std::vector<double> out(of_layers.size(), weight);
    if (!settings_.kl_balance || annealed(update) >= 1.0) return out;
    std::vector<double> mean_abs;
    for (const at::Tensor& kl : of_layers)
      mean_abs.push_back(kl.detach().abs().sum().item<double>() / static_cast<double>(batches_.batch));
    comm_.all_reduce(std::span<double>(mean_abs), comm::Op::kSum);
    const std::vector<double> balance = vae::kl_balance(mean_abs, shares_);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] *= balance[i];
    return out;
  }

  double annealed(const Update& update) const {
    return vae::kl_annealed(static_cast<double>(update.number + 1), static_cast<double>(update.total),
        settings_.kl_delay, settings_.kl_anneal, settings_.kl_min);
  }

  double spectral_weight(const Update& update) const {
    if (settings_.spectral_start <= 0.0) return settings_.spectral;
    const double beta = annealed(update);
    return std::exp((1.0 - beta) * std::log(settings_.spectral_start) + beta * std::log(settings_.spectral));
  }

  VaeTrainOptions settings_;
  vae::Backbone& backbone_;
  std::unique_ptr<vae::BatchStatistics> statistics_;  // null: a backbone without batch norm
  VaeInput input_;
  WorkImages images_;  // of the train split
  comm::Communicator& comm_;
  std::vector<double> shares_;  // of the KL balance, by layer
  vae::KlTargets held_;
};

void publish(const std::filesystem::path& file, const vae::Backbone& backbone, const Elbo& elbo,
    const nlohmann::json& results, const TrainingRun& run) {
  run.logger.line("ELBO {:.2f} nats an image ({} {} images), log p(x|z) {:.2f}, KL by layer {:.2f}", elbo.value(),
      elbo.num_images, results["split"].get<std::string>(), elbo.log_likelihood, fmt::join(elbo.kl, " "));
  for (std::size_t i = 0; i < elbo.kl.size(); ++i) {
    if (elbo.kl[i] >= kDeadLayer) continue;
    run.logger.line(
        "WARNING: latent layer {} carries {:.3f} nats (below {}): it is not used; take a smaller vae_train.kl_weight, "
        "a longer vae_train.kl_anneal, vae_train.free_bits, or fewer layers",
        i, elbo.kl[i], kDeadLayer);
  }
  comm::on_root(run.comm, [&] {
    const std::string hash = vae::save_vae(file, backbone, run.fingerprint, results);
    run.logger.line("{}: hash {}", file.string(), hash);
  });
}

}  // namespace

TrainingResult train_vae(VaeTrainOptions options, vae::Backbone& backbone, const data::Dataset& dataset,
    std::uint64_t seed, const TrainingRun& run) {
  const auto file = run.directory / std::filesystem::path(storage::run_files::kVae).filename();
  auto statistics = backbone.batch_statistics(sum_over(run.comm), seed);
  options.updates = vae_updates(options, dataset.members(data::Split::kTrain).size());
  options.rate.kind = *value_named<nets::RateKind>(name_of(options.schedule));
  const bool whole = options.at_whole_batch(statistics != nullptr);
  options.expect_possible(backbone.groups().size(), statistics != nullptr, run.comm.size());
  options.at_once = whole ? LoopOptions::kAll : options.together(backbone.image_shape()) / options.micro_batch;
  VaeObjective objective(options, backbone, std::move(statistics), dataset, seed, run);
  if (artifact_done(file, vae::kVaeFormat, vae::kVaeVersion, run.fingerprint, run.comm, run.logger)) return {};
  return TrainingLoop(objective, run).run_to_artifact([&] {
    objective.adopt_statistics();
    const data::Split split = judged_split(dataset);
    const Elbo elbo = measure_elbo(objective.input(), split, kElboImages, run.comm, run.logger);
    nlohmann::json results = elbo.to_json();
    results["split"] = split == data::Split::kTest ? "test" : "train";
    results["updates"] = objective.options().updates;
    publish(file, backbone, elbo, results, run);
  });
}

}  // namespace hebm::train
