#include "base/options.h"
#include "train/train_vae.h"

namespace hebm::train {

VaeTrainOptions::VaeTrainOptions() {
  section = "vae_train";
  name = subject = "train-vae";
  advice = "take a smaller vae_train.learning_rate or vae_train.clip_norm";
  micro_batch = 64;
  optimiser.rule = nets::Rule::kAdamax;
  rate = {.base = 2e-3, .final_fraction = 0.05, .warmup = 50};
  ema = 0.99;
  clip_norm = 200.0;
  checkpoint_every = 200;
  log_every = 20;
}

void VaeTrainOptions::describe(Options& o) {
  o.add("vae_train.epochs", &epochs, "passes over the training images", {1e-6, 1e6}, Show::kCommon);
  o.add("vae_train.batch", &batch, "images an update, over all ranks", {1, 1000000}, Show::kCommon);
  o.add(
      "vae_train.micro_batch", &micro_batch, "images of one unit of work; batch / micro_batch >= ranks", {1, 1000000});
  o.add("vae_train.learning_rate", &rate.base, "Adamax's step size", {1e-12, 10.0}, Show::kCommon);
  o.add_choice("vae_train.schedule", &schedule, {"constant", "linear", "cosine"}, "learning rate after the warm-up");
  o.add("vae_train.final_fraction", &rate.final_fraction, "learning rate at the end over the start", {0.0, 1.0});
  o.add("vae_train.warmup", &rate.warmup, "updates of linear warm-up", {0, 1000000});
  o.add("vae_train.kl_weight", &kl_weight,
      "weight of the KL terms at the end; below 1: sharper images, a worse Gaussian prior", {0.0, 1000.0},
      Show::kCommon);
  o.add("vae_train.kl_anneal", &kl_anneal, "fraction of all updates in which that weight grows from 0", {0.0, 1.0});
  o.add("vae_train.free_bits", &free_bits, "nats of KL a layer that cost nothing; 0: off", {0.0, 1e6});
  o.add("vae_train.ema", &ema, "decay of the averaged weights, warmed up as min(d, (n+1)/(n+10))", {0.0, 0.999999});
  o.add("vae_train.kl_delay", &kl_delay, "fraction of all updates before that weight begins to grow", {0.0, 1.0});
  o.add("vae_train.kl_min", &kl_min, "what it is at least, as a fraction of its end", {0.0, 1.0});
  o.add("vae_train.kl_balance", &kl_balance,
      "while it grows, each layer's KL is weighted by what it carries and by its scale (NVAE)");
  o.add("vae_train.spectral", &spectral,
      "weight of NVAE's regularisers (singular values, batch norm's scales) at the end; 0: off", {0.0, 1e6});
  o.add("vae_train.spectral_start", &spectral_start,
      "that weight at the start, moving geometrically as the KL weight grows; 0: constant", {0.0, 1e6});
  o.add("vae_train.eps", &optimiser.eps, "Adamax's epsilon (NVAE: 1e-3)", {0.0, 1.0});
  o.add("vae_train.weight_decay", &optimiser.weight_decay, "L2 added to the gradient (NVAE: 3e-4)", {0.0, 1.0});
  o.add("vae_train.binarise", &binarise, "pixels are fresh Bernoulli draws at every load (MNIST in NVAE)");
  o.add("vae_train.data_init", &data_init,
      "norms and biases of weight-normalised convolutions start from the first batch");
  o.add("vae_train.clip_norm", &clip_norm, "largest gradient norm; 0: no clipping", {0.0, 1e12});
  o.add("vae_train.checkpoint_every", &checkpoint_every, "updates between checkpoints", {1, 1000000000}, Show::kCommon)
      .outside_fingerprint();
  o.add("vae_train.keep", &keep, "checkpoints kept", {2, 100000}).outside_fingerprint();
  o.add("vae_train.log_every", &log_every, "updates between lines of metrics.jsonl", {1, 1000000})
      .outside_fingerprint();
  o.add("vae_train.deterministic", &deterministic, "int64 gradient sums: the same bits for any number of ranks");
}

}  // namespace hebm::train
