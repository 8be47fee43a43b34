#include "train/train_vae.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/options.h"
#include "train/product.h"
#include "vae/inputs.h"
#include "vae/weights_file.h"

namespace hebm::train {
namespace {

constexpr std::int64_t kElboImages = 2000;
constexpr double kDeadLayer = 1.0;  // nats: a layer below it carries nothing

std::int64_t count_updates(const VaeTrainOptions& options, std::size_t num_images) {
  const double updates = options.epochs * static_cast<double>(num_images) / static_cast<double>(options.batch);
  check(num_images > 0, ExitCode::kUsage, "the data set has no training images");
  return std::max<std::int64_t>(1, std::llround(updates));
}

NetLoopOptions loop_options(const VaeTrainOptions& o, std::int64_t updates) {
  NetLoopOptions out;
  out.name = "train-vae";
  out.advice = "take a smaller vae_train.learning_rate or vae_train.clip_norm";
  out.updates = updates;
  out.optimiser.rule = nets::Rule::kAdamax;
  out.learning_rate = o.learning_rate;
  out.schedule = o.schedule;
  out.final_fraction = o.final_fraction;
  out.warmup = o.warmup;
  out.ema = o.ema;
  out.clip_norm = o.clip_norm;
  out.checkpoint_every = o.checkpoint_every;
  out.keep = o.keep;
  out.log_every = o.log_every;
  out.deterministic = o.deterministic;
  return out;
}

}  // namespace

void VaeTrainOptions::describe(Options& o) {
  o.add("vae_train.epochs", &epochs, "passes over the training images", {1e-6, 1e6}, Show::kCommon);
  o.add("vae_train.batch", &batch, "images an update, over all ranks", {1, 1000000}, Show::kCommon);
  o.add("vae_train.micro_batch", &micro_batch, "images of one unit of work; batch / micro_batch >= ranks",
        {1, 1000000});
  o.add("vae_train.learning_rate", &learning_rate, "Adamax's step size", {1e-12, 10.0}, Show::kCommon);
  o.add_choice("vae_train.schedule", &schedule, {"constant", "linear", "cosine"}, "learning rate after the warm-up");
  o.add("vae_train.final_fraction", &final_fraction, "learning rate at the end over the start", {0.0, 1.0});
  o.add("vae_train.warmup", &warmup, "updates of linear warm-up", {0, 1000000});
  o.add("vae_train.kl_weight", &kl_weight,
        "weight of the KL terms at the end; below 1: sharper images, a worse Gaussian prior", {0.0, 1000.0},
        Show::kCommon);
  o.add("vae_train.kl_anneal", &kl_anneal, "fraction of all updates in which that weight grows from 0", {0.0, 1.0});
  o.add("vae_train.free_bits", &free_bits, "nats of KL a layer that cost nothing; 0: off", {0.0, 1e6});
  o.add("vae_train.ema", &ema, "decay of the averaged weights, warmed up as min(d, (n+1)/(n+10))", {0.0, 0.999999});
  o.add("vae_train.clip_norm", &clip_norm, "largest gradient norm; 0: no clipping", {0.0, 1e12});
  o.add("vae_train.checkpoint_every", &checkpoint_every, "updates between checkpoints", {1, 1000000000}, Show::kCommon);
  o.add("vae_train.keep", &keep, "checkpoints kept", {2, 100000});
  o.add("vae_train.log_every", &log_every, "updates between lines of metrics.jsonl", {1, 1000000});
  o.add("vae_train.deterministic", &deterministic, "int64 gradient sums: the same bits for any number of ranks");
}

std::filesystem::path vae_file(const std::filesystem::path& run_directory) {
  return run_directory / "vae" / "vae.safetensors";
}

VaeTrainer::VaeTrainer(const VaeTrainOptions& options, vae::Backbone& backbone, const data::Dataset& dataset,
                       std::uint64_t seed, const std::filesystem::path& run_directory, nlohmann::json identity,
                       comm::Communicator& comm, Logger& logger)
    : options_(options),
      backbone_(backbone),
      dataset_(dataset),
      images_(dataset.members(data::Split::kTrain)),
      seed_(seed),
      product_(vae_file(run_directory)),
      identity_(std::move(identity)),
      comm_(comm),
      logger_(logger),
      units_(options.batch, options.micro_batch, comm.rank(), comm.size(), "vae_train.batch, vae_train.micro_batch"),
      order_(static_cast<std::int64_t>(images_.size()), options.batch, seed),
      num_updates_(count_updates(options, images_.size())),
      loop_(loop_options(options, num_updates_), backbone.params(), units_, product_.parent_path(), identity_, comm,
            logger) {}

// ---- Sec. 2.1: the ELBO ---------------------------------------------------------------------------------------------

// log p(x) >= E_q log p(x | z) - sum_i KL(q(z_i | x, z_<i) || p(z_i | z_<i)); the KL terms carry a weight beta that is
// annealed in.
void VaeTrainer::learn(const UpdatePlace& place, std::int64_t unit, std::span<double> sums) {
  std::vector<std::int64_t> images;
  std::vector<std::uint32_t> visits;
  for (const auto& member : order_.members(place.update, unit * units_.size, units_.size)) {
    images.push_back(images_[static_cast<std::size_t>(member.position)]);
    visits.push_back(member.visit);
  }
  const auto device = backbone_.params().device();
  const RandomKey key{seed_, place.attempt, Purpose::kPosterior};
  const at::Tensor x = vae::image_tensor(dataset_.read(images)).to(device);                      // [b, C, H, W]
  const at::Tensor eps = vae::posterior_noise(key, images, visits, backbone_.dim()).to(device);  // [b, D]

  const c10::AutoGradMode grad_on(true);
  const vae::Posterior q = backbone_.posterior(x, eps);                                        // z ~ q(z | x)
  const at::Tensor log_px = backbone_.log_likelihood(backbone_.decode_posterior(q), x).sum();  // log p(x | z)
  at::Tensor loss = -log_px;
  for (std::size_t i = 0; i < q.kl.size(); ++i) {
    const at::Tensor kl = q.kl[i].sum();  // KL of layer i
    loss = loss + kl_weight(place) * kl.clamp_min(options_.free_bits * static_cast<double>(units_.size));
    sums[2 + i] += kl.item<double>();
  }
  loss = loss / static_cast<double>(units_.batch);  // the mean over the global batch, made once
  torch::autograd::backward({loss}, {});
  sums[0] += loss.item<double>();
  sums[1] += log_px.item<double>();
}

double VaeTrainer::kl_weight(const UpdatePlace& place) const {
  const double anneal = options_.kl_anneal * static_cast<double>(place.total);
  const double grown = anneal > 0.0 ? static_cast<double>(place.update + 1) / anneal : 1.0;
  return options_.kl_weight * std::min(1.0, grown);
}

storage::Scalars VaeTrainer::describe(const UpdatePlace& place, std::span<const double> sums) const {
  const auto batch = static_cast<double>(units_.batch);
  storage::Scalars out = {{"log_likelihood", sums[1] / batch}, {"kl_weight", kl_weight(place)}};
  for (std::size_t i = 2; i < sums.size(); ++i) out.emplace_back(fmt::format("kl/layer{}", i - 2), sums[i] / batch);
  return out;
}

// ---- the run around it ----------------------------------------------------------------------------------------------

Outcome VaeTrainer::run(const StopFlag* stop) {
  if (product_done(product_, vae::kVaeFormat, vae::kVaeVersion, identity_, comm_, logger_)) return Outcome::kDone;
  const auto outcome = loop_.run(
      2 + backbone_.groups().size(),
      [this](const UpdatePlace& place, std::int64_t unit, std::span<double> sums) { learn(place, unit, sums); },
      [this](const UpdatePlace& place, std::span<const double> sums) { return describe(place, sums); }, stop);
  if (outcome == Outcome::kDone) publish();
  return outcome;
}

void VaeTrainer::publish() {
  {
    const c10::NoGradGuard no_grad;
    backbone_.params().flat().copy_(loop_.ema().flat());
  }
  const auto split = dataset_.members(data::Split::kTest).empty() ? data::Split::kTrain : data::Split::kTest;
  const Elbo elbo = measure_elbo(backbone_, dataset_, split, kElboImages, seed_, comm_);
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

double Elbo::value() const {
  double out = log_likelihood;
  for (const double layer : kl) out -= layer;
  return out;
}

nlohmann::json Elbo::to_json() const {
  return {{"elbo", value()}, {"log_likelihood", log_likelihood}, {"kl", kl}, {"num_images", num_images}};
}

Elbo measure_elbo(const vae::Backbone& backbone, const data::Dataset& dataset, data::Split split, std::int64_t count,
                  std::uint64_t seed, comm::Communicator& comm) {
  constexpr std::int64_t kChunk = 100;
  constexpr std::uint32_t kVisit = 0xffffffffu;  // no epoch's
  const c10::NoGradGuard no_grad;
  const auto& members = dataset.members(split);
  const std::int64_t total = std::min(count, static_cast<std::int64_t>(members.size()));
  const std::size_t width = 1 + backbone.groups().size();
  std::vector<double> sums(static_cast<std::size_t>((total + kChunk - 1) / kChunk) * width, 0.0);  // by chunk
  for (std::int64_t chunk = comm.rank(); chunk * kChunk < total; chunk += comm.size()) {
    const std::int64_t first = chunk * kChunk, real = std::min(kChunk, total - first);
    std::vector<std::int64_t> images;
    for (std::int64_t b = 0; b < kChunk; ++b)
      images.push_back(members[static_cast<std::size_t>(first + std::min(b, real - 1))]);
    const at::Tensor x = vae::image_tensor(dataset.read(images)).to(backbone.params().device());
    const std::vector<std::uint32_t> visits(images.size(), kVisit);
    const at::Tensor eps =
        vae::posterior_noise({seed, 0, Purpose::kPosterior}, images, visits, backbone.dim()).to(x.device());
    const auto q = backbone.posterior(x, eps);
    const auto sum_of = [&](const at::Tensor& values) {
      return values.narrow(0, 0, real).to(at::kDouble).sum().item<double>();
    };
    double* out = &sums[static_cast<std::size_t>(chunk) * width];
    out[0] = sum_of(backbone.log_likelihood(backbone.decode_posterior(q), x));
    for (std::size_t i = 0; i < q.kl.size(); ++i) out[1 + i] = sum_of(q.kl[i]);
  }
  comm.all_reduce(std::span<double>(sums), comm::Op::kSum);  // every entry has one rank's value and zeros: exact
  Elbo elbo;
  elbo.num_images = total;
  elbo.kl.assign(width - 1, 0.0);
  for (std::size_t e = 0; e < sums.size(); ++e) {
    (e % width == 0 ? elbo.log_likelihood : elbo.kl[e % width - 1]) += sums[e] / static_cast<double>(total);
  }
  return elbo;
}

}  // namespace hebm::train
