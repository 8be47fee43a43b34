#include "train/train_vae.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "train/product.h"
#include "vae/inputs.h"
#include "vae/kl_balance.h"
#include "vae/weights_file.h"

namespace hebm::train {
namespace {

constexpr std::int64_t kElboImages = 2000;
constexpr double kDeadLayer = 1.0;                // nats: a layer below it carries nothing
constexpr std::int64_t kStatisticsBatches = 100;  // with momentum 0.05 the earlier statistics keep a weight of 0.6 %

nets::SumOverRanks sum_over(comm::Communicator& comm) {
  if (comm.size() == 1) return {};
  return [&comm](std::span<double> values) { comm.all_reduce(values, comm::Op::kSum); };
}

}  // namespace

std::int64_t vae_updates(const VaeTrainOptions& options, std::size_t num_images) {
  check(num_images > 0, ExitCode::kUsage, "the data set has no training images");
  return epoch_updates(options.epochs, num_images, options.batch);
}

std::filesystem::path vae_file(const std::filesystem::path& run_directory) {
  return run_directory / "vae" / "vae.safetensors";
}

// ---- set-up
// ------------------------------------------------------------------------------------------

VaeTrainer::VaeTrainer(const VaeTrainOptions& options, vae::Backbone& backbone, const data::Dataset& dataset,
                       std::uint64_t seed, const std::filesystem::path& run_directory, nlohmann::json identity,
                       comm::Communicator& comm, Logger& logger)
    : options_(options),
      backbone_(backbone),
      nvae_(backbone.batch_statistics(sum_over(comm), seed)),
      input_{options.binarise, backbone.pixel_bits()},
      dataset_(dataset),
      images_(dataset.members(data::Split::kTrain)),
      seed_(seed),
      product_(vae_file(run_directory)),
      identity_(std::move(identity)),
      comm_(comm),
      logger_(logger),
      units_(options.batch, options.micro_batch, comm.rank(), comm.size(), "vae_train.batch, vae_train.micro_batch"),
      order_(static_cast<std::int64_t>(images_.size()), options.batch, seed),
      num_updates_(vae_updates(options, images_.size())),
      shares_(vae::kl_shares(backbone.groups())),
      loop_(loop_options(), backbone.params(), units_, product_.parent_path(), identity_, comm, logger) {}

NetLoopOptions VaeTrainer::loop_options() {
  const VaeTrainOptions& o = options_;
  check(nvae_ || (o.spectral == 0.0 && !o.data_init), ExitCode::kUsage,
        "vae_train.spectral and vae_train.data_init act on NVAE's layers: they need vae.kind = nvae");
  NetLoopOptions out;
  out.whole_batch = nvae_ || o.kl_balance;
  check(!out.whole_batch || !o.deterministic, ExitCode::kUsage,
        "vae_train.deterministic cannot be had with vae.kind = nvae or vae_train.kl_balance: they look at the whole "
        "batch, and their sums depend on the number of ranks in the last bits");
  out.name = "train-vae";
  out.advice = "take a smaller vae_train.learning_rate or vae_train.clip_norm";
  out.updates = num_updates_;
  out.optimiser.rule = nets::Rule::kAdamax;
  out.optimiser.eps = o.eps;
  out.optimiser.weight_decay = o.weight_decay;
  out.rate = {.base = o.learning_rate, .kind = o.schedule, .final_fraction = o.final_fraction, .warmup = o.warmup};
  out.ema = o.ema;
  out.clip_norm = o.clip_norm;
  out.checkpoint_every = o.checkpoint_every;
  out.keep = o.keep;
  out.log_every = o.log_every;
  out.deterministic = o.deterministic;
  if (nvae_) {
    out.extra_state = nvae_->state();
    out.prepare = [this] { prepare(); };
  }
  return out;
}

// The starting weights' part that needs data or many iterations.
void VaeTrainer::prepare() {
  if (options_.data_init) {
    const Batch batch = load(0, 0, units_.first, units_.last);
    nvae_->initialise(batch.x, batch.eps);
  }
  if (options_.spectral > 0.0) nvae_->warm_up();
}

VaeTrainer::Batch VaeTrainer::load(std::int64_t update, std::uint32_t attempt, std::int64_t first_unit,
                                   std::int64_t last_unit) const {
  std::vector<std::int64_t> images;
  std::vector<std::uint32_t> visits;
  for (const auto& member : order_.members(update, first_unit * units_.size, (last_unit - first_unit) * units_.size)) {
    images.push_back(images_[static_cast<std::size_t>(member.position)]);
    visits.push_back(member.visit);
  }
  const auto device = backbone_.params().device();
  const RandomKey key{seed_, attempt, Purpose::kPosterior};
  return {input_.load(dataset_, seed_, attempt, images, visits).to(device),
          vae::posterior_noise(key, images, visits, backbone_.dim()).to(device)};
}

// ---- Sec. 2.1: the ELBO
// ---------------------------------------------------------------------------------------------

// log p(x) >= E_q log p(x | z) - sum_i KL(q(z_i | x, z_<i) || p(z_i | z_<i)); the KL terms carry a
// weight beta that is annealed in.
void VaeTrainer::learn(const UpdatePlace& place, std::int64_t first, std::int64_t last, std::span<double> sums) {
  const auto [x, eps] = load(place.update, place.attempt, first, last);
  const c10::AutoGradMode grad_on(true);
  if (nvae_) nvae_->begin_update(options_.spectral > 0.0);
  const vae::Posterior q = nvae_ ? nvae_->posterior(x, eps) : backbone_.posterior(x, eps);  // z ~ q(z | x)
  const at::Tensor logits = nvae_ ? nvae_->decode(q) : backbone_.decode_posterior(q);
  const at::Tensor log_px = backbone_.log_likelihood(logits, x).sum();  // log p(x | z)
  at::Tensor loss = -log_px;
  const std::vector<double> weights = layer_weights(place, q);
  for (std::size_t i = 0; i < q.kl.size(); ++i) {
    const at::Tensor kl = q.kl[i].sum();  // KL of layer i
    loss = loss + weights[i] * kl.clamp_min(options_.free_bits * static_cast<double>(x.size(0)));
    sums[2 + i] += kl.item<double>();
  }
  loss = loss / static_cast<double>(units_.batch);  // the mean over the global batch, made once
  if (options_.spectral > 0.0) {
    // Every rank has the same penalty: each gives its share, so that the sum over ranks has it
    // once.
    const at::Tensor penalty = nvae_->penalty() / static_cast<double>(comm_.size());
    loss = loss + spectral_weight(place) * penalty;
    sums.back() += penalty.item<double>();
  }
  torch::autograd::backward({loss}, {});
  sums[0] += loss.item<double>();
  sums[1] += log_px.item<double>();
}

// What KL_i is multiplied by: beta, and while it grows the balance over layers (NVAE, App. A).
std::vector<double> VaeTrainer::layer_weights(const UpdatePlace& place, const vae::Posterior& q) const {
  const double weight = options_.kl_weight * annealed(place);
  std::vector<double> out(q.kl.size(), weight);
  if (!options_.kl_balance || annealed(place) >= 1.0) return out;
  std::vector<double> mean_abs;
  for (const at::Tensor& kl : q.kl) {
    mean_abs.push_back(kl.detach().abs().sum().item<double>() / static_cast<double>(units_.batch));
  }
  comm_.all_reduce(std::span<double>(mean_abs), comm::Op::kSum);
  const std::vector<double> balance = vae::kl_balance(mean_abs, shares_);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] *= balance[i];
  return out;
}

double VaeTrainer::annealed(const UpdatePlace& place) const {
  return vae::kl_annealed(static_cast<double>(place.update + 1), static_cast<double>(place.total), options_.kl_delay,
                          options_.kl_anneal, options_.kl_min);
}

double VaeTrainer::spectral_weight(const UpdatePlace& place) const {
  if (options_.spectral_start <= 0.0) return options_.spectral;
  const double beta = annealed(place);
  return std::exp((1.0 - beta) * std::log(options_.spectral_start) + beta * std::log(options_.spectral));
}

storage::Scalars VaeTrainer::describe(const UpdatePlace& place, std::span<const double> sums) const {
  const auto batch = static_cast<double>(units_.batch);
  storage::Scalars out = {{"log_likelihood", sums[1] / batch}, {"kl_weight", options_.kl_weight * annealed(place)}};
  const std::size_t num_layers = shares_.size();
  for (std::size_t i = 0; i < num_layers; ++i) out.emplace_back(fmt::format("kl/layer{}", i), sums[2 + i] / batch);
  if (options_.spectral > 0.0) {
    out.emplace_back("spectral_penalty", sums.back());
    out.emplace_back("spectral_weight", spectral_weight(place));
  }
  return out;
}

// ---- the run around it
// ------------------------------------------------------------------------------------------

Outcome VaeTrainer::run(const StopFlag* stop) {
  if (product_done(product_, vae::kVaeFormat, vae::kVaeVersion, identity_, comm_, logger_)) return Outcome::kDone;
  const auto outcome = loop_.run(
      2 + shares_.size() + (options_.spectral > 0.0 ? 1 : 0),
      [this](const UpdatePlace& place, std::int64_t first, std::int64_t last, std::span<double> sums) {
        learn(place, first, last, sums);
      },
      [this](const UpdatePlace& place, std::span<const double> sums) { return describe(place, sums); }, stop);
  if (outcome == Outcome::kDone) publish();
  return outcome;
}

// The averaged weights, and batch-norm statistics that are theirs: those of the last training
// batches' weights differ.
void VaeTrainer::adopt_averaged() {
  const c10::NoGradGuard no_grad;
  backbone_.params().flat().copy_(loop_.ema().flat());
  if (!nvae_ || options_.ema <= 0.0) return;
  for (std::int64_t k = 0; k < kStatisticsBatches; ++k) {
    const Batch batch = load(num_updates_ + k, 0, units_.first, units_.last);
    nvae_->begin_update(false);
    nvae_->decode(nvae_->posterior(batch.x, batch.eps));
  }
}

void VaeTrainer::publish() {
  adopt_averaged();
  const auto split = dataset_.members(data::Split::kTest).empty() ? data::Split::kTrain : data::Split::kTest;
  const Elbo elbo = measure_elbo(backbone_, dataset_, split, kElboImages, seed_, comm_, input_);
  auto results = elbo.to_json();
  results["split"] = split == data::Split::kTest ? "test" : "train";
  results["updates"] = num_updates_;
  logger_.line("ELBO {:.2f} nats an image ({} {} images), log p(x|z) {:.2f}, KL by layer {:.2f}", elbo.value(),
               elbo.num_images, results["split"].get<std::string>(), elbo.log_likelihood, fmt::join(elbo.kl, " "));
  for (std::size_t i = 0; i < elbo.kl.size(); ++i) {
    if (elbo.kl[i] >= kDeadLayer) continue;
    logger_.line(
        "WARNING: latent layer {} carries {:.3f} nats (below {}): it is not used; take a smaller vae_train.kl_weight, "
        "a longer "
        "vae_train.kl_anneal, vae_train.free_bits, or fewer layers",
        i, elbo.kl[i], kDeadLayer);
  }
  comm::agree(comm_, [&] {
    if (!comm_.is_root()) return;
    const std::string hash = vae::save_vae(product_, backbone_, identity_, results);
    logger_.line("{}: hash {}", product_.string(), hash);
  });
}

}  // namespace hebm::train
