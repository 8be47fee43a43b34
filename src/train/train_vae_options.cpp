// What can be asked of a VAE's training, and what cannot be had together.
#include <algorithm>
#include "base/error.h"
#include "train/micro_batches.h"
#include "train/train_vae.h"

namespace hebm::train {

VaeTrainOptions::VaeTrainOptions() {
  section = "vae_train";
  name = subject = "train-vae";
  advice = "take a smaller vae_train.learning_rate or vae_train.clip_norm";
  batch = micro_batch = 64;
  optimiser = {.rule = nets::Rule::kAdam, .beta1 = 0.9, .beta2 = 0.99};
  rate = {.base = 1.5e-3, .final_fraction = 0.02, .warmup = 200};
  ema = 0.998;
  clip_norm = 1000.0;
  checkpoint_every = 200;
  log_every = 20;
}

void VaeTrainOptions::describe(Options& o) {
  o.add("vae_train.epochs", &epochs, "passes over the training images", {1e-6, 1e6}, Show::kCommon);
  describe_batch(o, Show::kCommon);
  o.add("vae_train.learning_rate", &rate.base, "step size of the optimiser", {1e-12, 10.0}, Show::kCommon);
  o.add_choice("vae_train.schedule", &schedule, "learning rate after the warm-up");
  o.add("vae_train.final_fraction", &rate.final_fraction, "learning rate at the end over the start", {0.0, 1.0});
  o.add("vae_train.warmup", &rate.warmup, "updates of linear warm-up", {0, 1000000});
  o.add("vae_train.kl_weight", &kl_weight,
      "weight of the KL terms at the end; below 1: sharper images, a worse Gaussian prior", {0.0, 1000.0},
      Show::kCommon);
  o.add("vae_train.kl_anneal", &kl_anneal, "fraction of all updates in which that weight grows from 0", {0.0, 1.0});
  o.add("vae_train.free_bits", &free_bits, "nats of KL a layer that cost nothing, as the mean of a micro-batch; 0: off",
      {0.0, 1e6});
  o.add("vae_train.ema", &ema, "decay of the averaged weights, warmed up as min(d, (n+1)/(n+10))", {0.0, 0.999999});
  o.add("vae_train.kl_delay", &kl_delay, "fraction of all updates before that weight begins to grow", {0.0, 1.0});
  o.add("vae_train.kl_min", &kl_min, "what it is at least, as a fraction of its end", {0.0, 1.0});
  o.add("vae_train.kl_balance", &kl_balance,
      "while it grows, each layer's KL is weighted by what it carries and by its scale (NVAE)");
  o.add_list("vae_train.kl_targets", &kl_targets,
      "nats of KL at which each layer is held, top first: 20,30,60; then the layers' weights follow their KL, in place "
      "of kl_weight and what shapes it",
      {1e-3, 1e6});
  o.add("vae_train.kl_ramp", &kl_ramp, "fraction of all updates after which the bottom layer's target is whole",
      {0.0, 1.0});
  o.add("vae_train.spectral", &spectral,
      "weight of NVAE's regularisers (singular values, batch norm's scales) at the end; 0: off", {0.0, 1e6});
  o.add("vae_train.spectral_start", &spectral_start,
      "that weight at the start, moving geometrically as the KL weight grows; 0: constant", {0.0, 1e6});
  o.add_choice("vae_train.optimiser", &optimiser.rule, "rule of an update (NVAE: adamax)");
  o.add("vae_train.beta1", &optimiser.beta1, "decay of its mean gradient", {0.0, 0.9999});
  o.add("vae_train.beta2", &optimiser.beta2, "decay of its mean square, or largest, gradient (NVAE: 0.999)",
      {0.0, 0.99999});
  o.add("vae_train.eps", &optimiser.eps, "its epsilon (NVAE: 1e-3)", {0.0, 1.0});
  o.add("vae_train.weight_decay", &optimiser.weight_decay, "L2 added to the gradient (NVAE: 3e-4)", {0.0, 1.0});
  o.add("vae_train.binarise", &binarise, "pixels are fresh Bernoulli draws at every load (MNIST in NVAE)");
  o.add("vae_train.data_init", &data_init,
      "norms and biases of weight-normalised convolutions start from the first batch");
  o.add("vae_train.clip_norm", &clip_norm, "largest gradient norm; 0: no clipping", {0.0, 1e12});
  describe_keeping(o);
  o.outside_fingerprint([&] {
    o.add("vae_train.recompute", &recompute,
        "NVAE's cells run a second time in the backward pass: the same bits, less memory, more time");
    o.add("vae_train.images_at_once", &images_at_once,
        "images of a rank's micro-batches that are computed together: the same sum but for rounding, more speed, more "
        "memory; 0: 131,072 values of images; a micro-batch at least, and with vae_train.deterministic",
        {0, 1000000});
  });
  describe_sums(o);
}

std::int64_t VaeTrainOptions::together(const ImageShape& image) const {
  constexpr std::int64_t kValues = std::int64_t{1} << 17;  // 128 images of 1 x 32 x 32
  if (deterministic) return micro_batch;
  const std::int64_t most = images_at_once > 0 ? images_at_once : kValues / image.size();
  return std::max<std::int64_t>(1, std::min(most, batch) / micro_batch) * micro_batch;
}

void VaeTrainOptions::expect_possible(std::size_t num_layers, bool has_statistics, int num_ranks) const {
  static_cast<void>(MicroBatches(batch, micro_batch, 0, num_ranks, "vae_train.batch, vae_train.micro_batch"));
  check(has_statistics || (spectral == 0.0 && !data_init && !recompute), ExitCode::kUsage,
      "vae_train.spectral, vae_train.data_init and vae_train.recompute need a backbone with batch statistics (nvae): "
      "they act on its layers");
  check(kl_targets.empty() || kl_targets.size() == num_layers, ExitCode::kUsage,
      "vae_train.kl_targets: {} targets for {} latent layers", kl_targets.size(), num_layers);
  check(kl_targets.empty() || (!kl_balance && free_bits == 0.0), ExitCode::kUsage,
      "vae_train.kl_targets holds the layers' KL by itself: it cannot be had with vae_train.kl_balance or free_bits");
  const bool whole = at_whole_batch(has_statistics);
  check(!whole || !deterministic, ExitCode::kUsage,
      "vae_train.deterministic cannot be had with a backbone with batch statistics (nvae) or vae_train.kl_balance: "
      "they look at the whole batch, and their sums depend on the number of ranks in the last bits");
  check(!whole || images_at_once == 0, ExitCode::kUsage,
      "vae_train.images_at_once cannot be had with a backbone with batch statistics (nvae) or vae_train.kl_balance: a "
      "rank takes all its images at once");
}

}  // namespace hebm::train
