#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/prior_kind.h"
#include "cli/prior_training.h"
#include "encode/encode.h"
#include "prior/prior_file.h"
#include "prior/reverse_chain.h"
#include "sample/sample.h"
#include "storage/png.h"
#include "train/diffusion.h"
#include "train/nce.h"
#include "train/product.h"

namespace hebm::cli {
namespace {

struct TrainCommand {
  RunOptions run;
  std::string kind = "diffusion";
  prior::ScheduleOptions schedule;
  encode::EncodeOptions encoding;
  prior::EnergyOptions energy;
  prior::LangevinOptions langevin;
  prior::NceOptions nce;
  train::PriorTrainOptions training;
  vae::BackboneOptions planned;  // --dry-run, where the VAE is not there yet

  void describe(Options& o) {
    run.describe(o);
    add_prior_kind(o, &kind,
                   "the prior to train: diffusion (Eq. 9), joint (marginal EBM of Eq. 4 and 8, whose step is "
                   "langevin.eta_marginal), nce "
                   "(a classifier a layer, NCP-VAE)");
    schedule.describe(o);
    energy.describe(o);
    langevin.describe(o);
    nce.describe_training(o);
    training.describe(o);
    encoding.describe(o);
    planned.describe(o);
    allow_pipeline_keys(o);
  }
  bool is_marginal() const { return kind != "diffusion"; }
  std::uint64_t seed() const { return static_cast<std::uint64_t>(training.seed >= 0 ? training.seed : run.seed); }
  prior::LangevinOptions chains() const { return is_marginal() ? langevin.marginal() : langevin; }
  prior::EnergyOptions nets() const;
  prior::EnergyPrior make_prior(const std::vector<LatentShape>& groups) const {
    return {nets(), groups, is_marginal() ? prior::make_marginal_schedule() : schedule.make(), seed()};
  }
  Lines size_lines(const prior::EnergyPrior& prior, const vae::Backbone& backbone) const;
};

prior::EnergyOptions TrainCommand::nets() const {
  prior::EnergyOptions out = energy;
  if (kind == "nce") out.gain *= nce.gain;
  return out;
}

Lines TrainCommand::size_lines(const prior::EnergyPrior& prior, const vae::Backbone& backbone) const {
  const RunPaths paths(run, kind);
  const auto parameters = prior.num_parameters();
  Lines lines = describe_backbone(backbone);
  if (!vae_is_there(run))
    lines.insert(lines.begin(),
                 fmt::format("{} is not there: sizes are those of vae.* and nvae.*", paths.vae.string()));
  for (std::size_t i = 0; i < backbone.groups().size(); ++i) {
    lines.push_back(fmt::format("layer {}: energy net of {} parameters, {:.2f} MFLOP a forward", i,
                                prior.net(0, i).params().size(), prior.net(0, i).forward_flop() / 1e6));
  }
  lines.push_back(fmt::format("energy nets: {} parameters in {} nets, T = {}", parameters, prior.num_buckets(),
                              prior.num_levels()));
  const bool cached = std::filesystem::exists(paths.cache / "index.json");
  if (training.source == "cache")
    lines.push_back(fmt::format("cache: {} is {}", paths.cache.string(),
                                cached ? "there" : "not there yet: hebm_dist encode makes it"));
  lines.push_back(checkpoint_line(parameters, training.keep, paths.prior_directory));
  lines.push_back(weights_line(parameters, paths.prior_directory));
  lines.push_back(
      steps_line("updates", training.updates,
                 fmt::format("{} images in units of {}{}", training.batch, training.micro_batch,
                             kind == "nce" ? "" : fmt::format(", {} Langevin steps each", langevin.steps))));
  lines.push_back(memory_line({.trained = static_cast<double>(parameters),
                               .used = static_cast<double>(backbone.params().size()),
                               .values = chain_values(prior, backbone),
                               .images = static_cast<double>(training.micro_batch)}));
  return lines;
}

// A grid from fixed noise, so that grids of different updates can be compared.
void write_preview(const std::filesystem::path& file, const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                   const prior::LangevinOptions& langevin) {
  const prior::ReverseChain chain(prior, backbone, langevin);
  const prior::ChainIds ids = prior::chain_ids(0, 36);
  sample::SampleOptions options;
  storage::write_png_grid(file, sample::decode_images(backbone, chain.sample(0, ids), options, ids), 6);
}

// What every kind trains with.
struct Training {
  const TrainCommand& command;
  const RunPaths& paths;
  const RunVae& vae;
  prior::EnergyPrior& prior;
  nlohmann::json identity;
  train::MakeSource make_source;
  Context& context;

  // The weights that the nets hold. Rank 0.
  void save(const std::filesystem::path& file) const {
    prior::save_prior(file, prior, command.nets(), vae.backbone->groups(), vae.hash, identity);
  }
};

// Sample grids and weights during the training, of the averaged nets. Returns whether one was not written.
bool write_on_the_way(const Training& t, const train::TrainingLoop& loop, std::int64_t update) {
  const TrainCommand& c = t.command;
  comm::Communicator& comm = t.context.comm();
  const auto due = [&](std::int64_t every) { return every > 0 && update % every == 0; };
  const bool preview = due(c.training.preview_every), exported = due(c.training.export_every);
  if (c.kind == "nce" || !(preview || exported)) return false;
  try {
    comm::agree(comm, [&] {
      if (!comm.is_root()) return;
      const auto averaged = averaged_weights(t.prior, loop);
      std::filesystem::create_directories(t.paths.samples());
      const std::string name = fmt::format("train{}-{:07}.png", c.is_marginal() ? "-" + c.kind : "", update);
      if (preview) write_preview(t.paths.samples() / name, t.prior, *t.vae.backbone, c.chains());
      if (exported) t.save(t.paths.prior_directory / fmt::format("ema-{:07}.safetensors", update));
    });
  } catch (const comm::AgreedError& e) {  // a full disk costs a picture, never the run
    if (e.code() != ExitCode::kRuntime) throw;
    t.context.logger().line("WARNING: {}. Training goes on; the exit code will be 1.", e.what());
    return true;
  }
  return false;
}

int train_prior(const Training& t) {
  const TrainCommand& c = t.command;
  comm::Communicator& comm = t.context.comm();
  const train::TrainingRun run{t.paths.prior_directory, t.identity, comm, t.context.logger(), &t.context.stop()};
  const train::PriorInputs in{t.prior, c.energy, *t.vae.backbone, c.chains(), c.seed(), t.make_source};
  const std::unique_ptr<train::Objective> objective =
      c.kind == "nce" ? train::make_nce(c.training, in, run)
                      : std::make_unique<train::DiffusionObjective>(c.training, in, run);
  train::TrainingLoop loop(*objective, run);
  bool write_failed = false;
  const auto result = loop.run([&](std::int64_t update) {
    if (write_on_the_way(t, loop, update)) write_failed = true;
  });
  if (result.outcome == train::Outcome::kDone) {
    comm::agree(comm, [&] {
      if (!comm.is_root()) return;
      const auto averaged = averaged_weights(t.prior, loop);
      t.save(t.paths.own_prior());
    });
    t.context.logger().line("{}: done after {} updates", t.paths.own_prior().string(), c.training.updates);
  }
  return exit_code(result.outcome, result.save_failed || write_failed);
}

// A script that goes through all kinds need not know which of them are trained.
int nothing_to_train(const RunOptions& run) {
  const auto comm = comm::make_communicator(run.comm);
  Logger(comm->is_root())
      .line(
          "prior.kind = gaussian: the Gaussian prior is the VAE's own, nothing to train; `hebm_dist sample "
          "--prior.kind gaussian` draws from it");
  return 0;
}

}  // namespace

int train_command(Arguments args) {
  Options options(
      "hebm_dist train [--prior.kind KIND] [--config FILE.ini] [--section.key VALUE ...]",
      "Trains the diffusion EBM prior (Alg. 1), or one that it is compared with, on all ranks, from the newest "
      "checkpoint if there is one. "
      "Result: RUN/prior/prior.safetensors (averaged weights), of another kind RUN/prior-KIND/prior.safetensors.");
  TrainCommand c;
  c.describe(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  if (c.kind == "gaussian") return nothing_to_train(c.run);
  const RunPaths paths(c.run, c.kind);
  const bool is_plan = action == Options::Action::kDryRun;
  if (!is_plan) require_dataset(c.run);
  const RunVae vae =
      is_plan && !vae_is_there(c.run) ? RunVae{paths.vae, planned_backbone(c.run, c.planned), ""} : open_vae(c.run);
  prior::EnergyPrior prior = c.make_prior(vae.backbone->groups());
  if (is_plan) {
    c.training.expect_possible(prior.per_level(), 1);
    print_dry_run(options, c.size_lines(prior, *vae.backbone));
    return 0;
  }
  const data::Dataset dataset = open_dataset(c.run);
  dataset.expect_shape(vae.backbone->image_shape(), "VAE");
  Context context(c.run, options, "train", paths.prior_directory);
  vae.backbone->params().to(context.device());
  prior.to(context.device());
  auto identity =
      product_identity(options, {"prior.", "energy.", "langevin.", "train.", "nce.gain"}, c.run.seed, dataset, c.kind);
  identity["vae_hash"] = vae.hash;
  if (train::product_done(paths.own_prior(), prior::kPriorFormat, prior::kPriorVersion, identity, context.comm(),
                          context.logger()))
    return 0;

  const auto cache =
      training_cache(c.training, paths, c.encoding, dataset, vae, static_cast<std::uint64_t>(c.run.seed), context);
  const auto make_source = [&](const train::MicroBatches& units, std::int64_t first) {
    return cache ? train::cache_source(*cache, units, c.seed(), first, c.training.updates)
                 : train::online_source(dataset, data::Split::kTrain, *vae.backbone, units, c.seed(), first);
  };
  const Training training{c, paths, vae, prior, identity, make_source, context};
  return train_prior(training);
}

}  // namespace hebm::cli
