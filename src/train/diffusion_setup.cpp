// Around Algorithm 1: its set-up, and what an update is judged by and logged with.
#include <fmt/format.h>
#include <utility>
#include "base/error.h"
#include "nets/device.h"
#include "prior/losses.h"
#include "train/diffusion.h"

namespace hebm::train {
namespace {

std::vector<double> step_variances(const prior::Schedule& schedule, const prior::LangevinOptions& langevin) {
  std::vector<double> out;
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) out.push_back(prior::step_variance(schedule, langevin, t));
  return out;
}

}  // namespace

DiffusionObjective::DiffusionObjective(
    const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run, std::size_t num_heads)
    : Objective(options, buckets_of(in.prior),
          Recorder(kTerms + 2 * (in.prior.num_layers() + num_heads) + 2 * num_heads, in.prior.num_levels(),
              in.prior.device()),
          run.comm),
      settings_(options),
      in_(in),
      num_terms_(in.prior.num_layers() + num_heads),
      step_variances_(step_variances(in.prior.schedule(), in.langevin)),
      device_(in.prior.device()),
      num_ranks_(run.comm.size()),
      coefficients_(prior::step_coefficients(in.prior.schedule(), in.langevin)),
      level_weights_(prior::level_weights(in.prior.schedule(), in.langevin, options.level_weight)),
      weight_of_level_(nets::on_device(level_weights_, device_).to(at::kFloat)),
      variance_of_level_(nets::on_device(step_variances_, device_)),
      monitor_(in.prior.num_levels(), options.divergence_factor) {
  check(in_.backbone.params().device() == device_, ExitCode::kRuntime,
      "prior training: the energy nets are on {}, the VAE on {}", device_.str(), in_.backbone.params().device().str());
  options.expect_possible(in_.prior.per_level(), num_ranks_);
  check(in_.prior.heads().size() == num_heads, ExitCode::kRuntime,
      "prior training: the prior's label heads and the labels do not belong together");
  check(in_.langevin.steps_at(0) == in_.langevin.steps ||
            (settings_.levels == Levels::kMicroBatch && !in_.energy.power_iterations_in_chain),
      ExitCode::kUsage,
      "couple.steps = {} beside langevin.steps = {} needs train.levels = unit and no energy.power_iterations_in_chain",
      in_.langevin.zero_steps, in_.langevin.steps);
  if (settings_.levels == Levels::kMicroBatch && !settings_.only_zero &&
      batches_.count % in_.prior.schedule().num_levels != 0) {
    run.logger.line("note: {} units of work a batch for T = {}: levels come equally often only over many updates",
        batches_.count, in_.prior.schedule().num_levels);
  }
}

void DiffusionObjective::resume(std::int64_t update, const nlohmann::json& saved) {
  monitor_.restore(saved.value("gaps", nlohmann::json::array()));
  source_ = in_.make_source(batches_, update);
}

std::vector<Bucket> buckets_of(prior::EnergyPrior& prior) {
  std::vector<Bucket> out;
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) out.push_back({prior.bucket_name(b), prior.bucket(b).params()});
  return out;
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
      {"seconds/data_wait_total", source_->waited_s()}, {"seconds/unit_median", report.unit_median_s},
      {"seconds/unit_slowest", report.unit_slowest_s}, {"sum/bytes", report.sum_bytes}};
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
