// Around Algorithm 1: its options, what it is made of, and what is judged and logged of an update.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>
#include <algorithm>
#include <utility>
#include "base/error.h"
#include "nets/device.h"
#include "train/diffusion.h"

namespace hebm::train {
PriorTrainOptions::PriorTrainOptions() {
  section = name = "train";
  subject = "training";
  advice =
      "take a smaller train.learning_rate or langevin.step (of a joint EBM langevin.eta_marginal; metrics.jsonl shows "
      "which t went first)";
  updates = 600;
  rate = {.base = 3e-4, .kind = nets::RateKind::kLinear, .final_fraction = 0.1, .warmup = 50};
  rate.decay = 0.9;
  rate.decay_every = 1000;
  ema = 0.98;
}

void PriorTrainOptions::describe(Options& o) {
  o.add("train.updates", &updates, "updates of the energy nets", {1, 1000000000}, Show::kCommon);
  describe_batch(o, Show::kCommon);
  o.add("train.learning_rate", &rate.base, "Adam's step size (paper: 4e-5)", {1e-12, 10.0}, Show::kCommon);
  o.add_choice("train.schedule", &rate.kind,
      "learning rate after the warm-up; steps: times train.decay after every train.decay_every updates "
      "(authors' code)");
  o.add("train.decay", &rate.decay,
      "factor of the learning rate, schedule steps (authors' code: 0.9 CIFAR-10, 0.98 CelebA, an epoch)", {1e-6, 1.0});
  o.add("train.decay_every", &rate.decay_every, "updates between such factors: an epoch is training images / batch",
      {1, 1000000000});
  o.add("train.final_fraction", &rate.final_fraction, "learning rate at the end over the start", {0.0, 1.0});
  o.add("train.warmup", &rate.warmup, "updates of linear warm-up", {0, 1000000});
  o.add("train.beta1", &optimiser.beta1, "Adam's first decay (paper: 0.99)", {0.0, 0.99999});
  o.add("train.beta2", &optimiser.beta2, "Adam's second decay (paper: 0.999)", {0.0, 0.9999999});
  o.add("train.weight_decay", &optimiser.weight_decay, "L2 in the gradient (paper: 3e-5)", {0.0, 1.0});
  o.add("train.ema", &ema, "decay of the averaged weights, warmed up as min(d, (n+1)/(n+10)); 0: none (paper)",
      {0.0, 0.999999});
  o.add_choice("train.level_weight", &level_weight,
      "weight of t in the loss: 1/s_t^2, times s_t/s_{T-1}, or the same for all", Show::kCommon);
  o.add("train.l2", &l2, "weight of f+^2 + f-^2 in the loss (paper: 0)", {0.0, 1e6});
  o.add("train.clip_norm", &clip_norm, "largest gradient norm of a layer; 0: no clipping (paper)", {0.0, 1e12});
  o.add_choice("train.levels", &levels,
      "unit: the images of a micro-batch share one t, all t equally often; image: t ~ U{0..T-1} for each (paper)");
  o.add_choice("train.chain", &chain,
      "chains that levels learn on: data = from the data's u_{t+1}, one level a micro-batch (paper, Alg. 1); reverse = "
      "the chain that draws, from noise to u_0, all T levels in each micro-batch at T times the cost",
      Show::kCommon);
  o.add("train.reverse_from", &reverse_from, "with train.chain = reverse: updates on the data's chains before that",
      {0, 1000000000});
  describe_sums(o);
  o.add_choice("train.source", &source, "u_0 from the latent cache, or encoded on the fly (paper)");
  describe_keeping(o);
  o.outside_fingerprint([&] {
    o.add("train.preview_every", &preview_every, "updates between sample grids; 0: none", {0, 1000000000});
    o.add("train.export_every", &export_every,
        "updates between files prior/ema-N.safetensors of the averaged weights; 0: none", {0, 1000000000});
  });
  o.add("train.seed", &seed, "seed of energy nets, batches and noise; -1: run.seed (which the cache always has)", {-1});
  o.add("train.max_rollbacks", &max_rollbacks, "rollbacks before giving up with exit code 3", {0, 1000})
      .outside_fingerprint();
  o.add("train.divergence_factor", &divergence_factor,
      "|energy gap| over its running median, and that over its lowest, that counts as divergence", {2.0, 1e12});
}

void PriorTrainOptions::expect_possible(bool per_level, int num_ranks) const {
  static_cast<void>(MicroBatches(batch, micro_batch, 0, num_ranks, "train.batch, train.micro_batch"));
  check(levels == Levels::kMicroBatch || !per_level, ExitCode::kUsage,
      "train.levels = image needs energy.per_level = false: nets for one t cannot take micro-batches of mixed t");
  check(reverse_from == 0 || chain == TrainingChain::kReverse, ExitCode::kUsage,
      "train.reverse_from = {} belongs to train.chain = reverse; set that too, or leave it at 0", reverse_from);
}

std::int64_t PriorTrainOptions::reverse_updates(std::int64_t count) const {
  return chain == TrainingChain::kData ? 0 : std::max<std::int64_t>(0, count - reverse_from);
}

std::vector<Bucket> buckets_of(prior::EnergyPrior& prior) {
  std::vector<Bucket> out;
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) out.push_back({prior.bucket_name(b), prior.bucket(b).params()});
  return out;
}

DiffusionObjective::DiffusionObjective(
    const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run, const prior::LabelHeads& heads)
    : Objective(options, buckets_of(in.prior),
          Recorder(kTerms + 2 * in.prior.num_layers() + 4 * heads.size(), in.prior.num_levels(), in.prior.device()),
          run.comm),
      settings_(options),
      in_(in),
      num_terms_(in.prior.num_layers() + heads.size()),
      step_variances_(prior::step_variances(in.prior.schedule(), in.langevin)),
      device_(in.prior.device()),
      num_ranks_(run.comm.size()),
      coefficients_(prior::step_coefficients(in.prior.schedule(), in.langevin)),
      level_weights_(prior::level_weights(in.prior.schedule(), in.langevin, options.level_weight)),
      weight_of_level_(nets::on_device(level_weights_, device_).to(at::kFloat)),
      variance_of_level_(nets::on_device(step_variances_, device_)),
      monitor_(in.prior.num_levels(), options.divergence_factor),
      update_weights_(in.prior, in.energy, in.langevin.precision) {
  nets::require_precision(in.langevin.precision, device_);
  check(in_.backbone.params().device() == device_, ExitCode::kRuntime,
      "prior training: the energy nets are on {}, the VAE on {}", device_.str(), in_.backbone.params().device().str());
  options.expect_possible(in_.prior.per_level(), num_ranks_);
  check(in_.prior.heads() == heads, ExitCode::kRuntime,
      "prior training: the prior's label heads and the labels do not belong together");
  check(in_.langevin.steps_at(0) == in_.langevin.steps ||
            (settings_.levels == Levels::kMicroBatch && !in_.energy.power_iterations_in_chain),
      ExitCode::kUsage,
      "couple.steps = {} beside langevin.steps = {} needs train.levels = unit and no energy.power_iterations_in_chain",
      in_.langevin.zero_steps, in_.langevin.steps);
  if (settings_.chain == TrainingChain::kReverse && settings_.reverse_updates(settings_.updates) == 0) {
    run.logger.line(
        "WARNING: train.reverse_from = {} is not reached in {} updates: all are on data chains, although train.chain = "
        "reverse stands in the prior's file",
        settings_.reverse_from, settings_.updates);
  }
  if (settings_.levels == Levels::kMicroBatch && !settings_.only_zero &&
      settings_.reverse_updates(settings_.updates) < settings_.updates && batches_.count < in_.prior.num_levels()) {
    run.logger.line(
        "note: {0} micro-batches a batch for T = {1}: an update sees {0} levels; with a smaller "
        "train.micro_batch it sees all",
        batches_.count, in_.prior.num_levels());
  }
}

void DiffusionObjective::resume(std::int64_t update, const nlohmann::json& saved) {
  monitor_.restore(saved.value("gaps", nlohmann::json::array()));
  source_ = in_.make_source(batches_, update);
}

std::string DiffusionObjective::judge(const Update& update, const std::string& of_gradients) {
  return of_gradients.empty() ? monitor_.observe(update.number, gaps(), counts()) : of_gradients;
}

std::vector<double> DiffusionObjective::counts() const {
  std::vector<double> out;
  for (std::size_t t = 0; t < step_variances_.size(); ++t) out.push_back(record_.at(kCount, t));
  return out;
}

std::vector<double> DiffusionObjective::gaps() const {
  std::vector<double> out = counts();
  for (std::size_t t = 0; t < out.size(); ++t) {
    const double count = std::exchange(out[t], 0.0);
    for (std::size_t field = kTerms; count > 0.0 && field < kTerms + 2 * num_terms_; field += 2)
      out[t] += (record_.at(field, t) - record_.at(field + 1, t)) / count;
  }
  return out;
}

std::string DiffusionObjective::progress(const Report& report) const {
  std::string out = fmt::format("{:.2f} s/update, gap by t:", report.update_s);
  for (const double gap : gaps()) out += fmt::format(" {:.3g}", gap);
  return out;
}

storage::Scalars DiffusionObjective::describe(const Report& report) const {
  storage::Scalars out = {{"seconds/update", report.update_s}, {"seconds/sum_total", report.sum_waited_s},
      {"seconds/data_wait_total", source_.waited_s()}, {"seconds/unit_median", report.median_s},
      {"seconds/unit_slowest", report.slowest_s}, {"sum/bytes", report.sum_bytes},
      {"sum/collectives", static_cast<double>(report.sum_collectives)}};
  if (device_.is_cpu()) out.emplace_back("seconds/chain", record_.at(kChainSeconds) / num_ranks_);
  double loss = 0, images = 0;
  const auto gap = gaps(), count = counts();
  for (std::size_t t = 0; t < count.size(); ++t) {
    images += count[t];
    if (count[t] == 0.0) continue;
    loss -= count[t] * gap[t] * step_variances_[t] * level_weights_[t];
    out.emplace_back(fmt::format("gap/t{}", t), gap[t]);
    out.emplace_back(fmt::format("displacement/t{}", t), record_.at(kDisplacement, t) / count[t]);
    for (std::size_t i = 0; i < in_.prior.num_layers(); ++i) {
      out.emplace_back(fmt::format("positive/layer{}/t{}", i, t), record_.at(kTerms + 2 * i, t) / count[t]);
      out.emplace_back(fmt::format("negative/layer{}/t{}", i, t), record_.at(kTerms + 2 * i + 1, t) / count[t]);
    }
  }
  out.emplace_back("loss", images > 0 ? loss / images : 0.0);
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const std::string& prefix = buckets_[b].prefix;  // ends with a dot
    if (active_[b]) out.emplace_back("gradient_norm/" + prefix.substr(0, prefix.size() - 1), report.gradient_norms[b]);
  }
  return out;
}

}  // namespace hebm::train
