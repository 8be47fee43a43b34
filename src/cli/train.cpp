#include <fmt/format.h>

#include <optional>

#include "base/error.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/prior_kind.h"
#include "encode/encode.h"
#include "prior/prior_file.h"
#include "sample/sample.h"
#include "prior/reverse_chain.h"
#include "storage/png.h"
#include "train/product.h"
#include "train/train_prior.h"

namespace hebm::cli {
namespace {

struct TrainCommand {
  RunOptions run;
  std::string kind = "diffusion";
  prior::ScheduleOptions schedule;
  encode::EncodeOptions encoding;
  prior::EnergyOptions energy;
  prior::LangevinOptions langevin;
  train::PriorTrainOptions training;
  vae::BackboneOptions planned;  // --dry-run, where the VAE is not there yet

  void describe(Options& o) {
    run.describe(o);
    add_prior_kind(o, &kind, "the prior to train: diffusion (Eq. 9), joint (marginal EBM of Eq. 4 and 8, whose step is langevin.eta_marginal)");
    schedule.describe(o);
    energy.describe(o);
    langevin.describe(o);
    training.describe(o);
    encoding.describe(o);
    planned.describe(o);
    allow_pipeline_keys(o);
  }
  bool is_marginal() const { return kind != "diffusion"; }
  Lines size_lines(const prior::EnergyPrior& prior, const vae::Backbone& backbone) const;
};

Lines TrainCommand::size_lines(const prior::EnergyPrior& prior, const vae::Backbone& backbone) const {
  const RunPaths paths(run, kind);
  const auto parameters = prior.num_parameters();
  Lines lines = describe_backbone(backbone);
  if (!vae_is_there(run)) lines.insert(lines.begin(), fmt::format("{} is not there: sizes are those of vae.* and nvae.*", paths.vae.string()));
  for (std::size_t i = 0; i < backbone.groups().size(); ++i) {
    lines.push_back(fmt::format("layer {}: energy net of {} parameters, {:.2f} MFLOP a forward", i, prior.net(0, i).params().size(),
                                prior.net(0, i).forward_flop() / 1e6));
  }
  lines.push_back(fmt::format("energy nets: {} parameters in {} nets, T = {}", parameters, prior.num_buckets(), prior.num_levels()));
  const bool cached = std::filesystem::exists(paths.cache / "index.json");
  if (training.source == "cache") lines.push_back(fmt::format("cache: {} is {}", paths.cache.string(), cached ? "there" : "not there yet: hebm_dist encode makes it"));
  lines.push_back(checkpoint_line(parameters, training.keep, paths.prior_directory));
  lines.push_back(weights_line(parameters, paths.prior_directory));
  lines.push_back(steps_line("updates", training.updates, fmt::format("{} images in units of {}, {} Langevin steps each", training.batch,
                                                                      training.micro_batch, langevin.steps)));
  lines.push_back(memory_line({.trained = static_cast<double>(parameters),
                               .used = static_cast<double>(backbone.params().size()),
                               .values = chain_values(prior, backbone),
                               .images = static_cast<double>(training.micro_batch)}));
  return lines;
}

// The averaged weights are in all nets while it lives.
std::vector<std::unique_ptr<nets::WithEma>> averaged_weights(prior::EnergyPrior& prior, const train::PriorTrainer& trainer) {
  std::vector<std::unique_ptr<nets::WithEma>> out;
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) {
    out.push_back(std::make_unique<nets::WithEma>(prior.bucket(b).params(), trainer.ema(b)));
  }
  return out;
}

// A grid from fixed noise, so that grids of different updates can be compared.
void write_preview(const std::filesystem::path& file, const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                   const prior::LangevinOptions& langevin) {
  const prior::ReverseChain chain(prior, backbone, langevin);
  const prior::ChainIds ids = prior::chain_ids(0, 36);
  sample::SampleOptions options;
  storage::write_png_grid(file, sample::decode_images(backbone, chain.sample(0, ids), options, ids), 6);
}

// A script that goes through all kinds need not know which of them are trained.
int nothing_to_train(const RunOptions& run) {
  const auto comm = comm::make_communicator(run.comm);
  Logger(comm->is_root()).line("prior.kind = gaussian: the Gaussian prior is the VAE's own, nothing to train; `hebm_dist sample --prior.kind gaussian` draws from it");
  return 0;
}

}  // namespace

int train_command(Arguments args) {
  Options options("hebm_dist train [--prior.kind KIND] [--config FILE.ini] [--section.key VALUE ...]",
                  "Trains the diffusion EBM prior (Alg. 1), or one that it is compared with, on all ranks, from the newest checkpoint if there is one. "
                  "Result: RUN/prior/prior.safetensors (averaged weights), of another kind RUN/prior-KIND/prior.safetensors.");
  TrainCommand c;
  c.describe(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  if (c.kind == "gaussian") return nothing_to_train(c.run);
  const auto cache_seed = static_cast<std::uint64_t>(c.run.seed);
  const auto seed = c.training.seed >= 0 ? static_cast<std::uint64_t>(c.training.seed) : cache_seed;
  const RunPaths paths(c.run, c.kind);
  const prior::LangevinOptions langevin = c.is_marginal() ? c.langevin.marginal() : c.langevin;
  const bool is_plan = action == Options::Action::kDryRun;
  if (!is_plan) require_dataset(c.run);
  const RunVae vae = is_plan && !vae_is_there(c.run) ? RunVae{paths.vae, planned_backbone(c.run, c.planned), ""} : open_vae(c.run);
  const auto& backbone = vae.backbone;
  const std::string& vae_hash = vae.hash;
  prior::EnergyPrior prior(c.energy, backbone->groups(), c.is_marginal() ? prior::make_marginal_schedule() : c.schedule.make(), seed);
  if (is_plan) {
    c.training.expect_possible(prior.per_level(), 1);
    print_dry_run(options, c.size_lines(prior, *backbone));
    return 0;
  }
  const data::Dataset dataset = open_dataset(c.run);
  Context context(c.run, options, "train", paths.prior_directory);
  backbone->params().to(context.device());
  prior.to(context.device());
  auto identity = product_identity(options, {"prior.", "energy.", "langevin.", "train."}, c.run.seed, dataset, c.kind);
  identity["vae_hash"] = vae_hash;
  if (train::product_done(paths.own_prior(), prior::kPriorFormat, prior::kPriorVersion, identity, context.comm(), context.logger())) return 0;

  std::optional<data::LatentCache> cache;
  if (c.training.source == "cache") {
    comm::agree(context.comm(), [&] {
      require(paths.cache / "index.json", "hebm_dist encode");
      cache.emplace(data::LatentCache::open(paths.cache));
      cache->expect(encode::cache_layout(c.encoding, dataset, *backbone, vae_hash, cache_seed).key);
    });
  }
  train::PriorTrainer trainer(c.training, langevin, prior, c.energy, *backbone, seed, paths.prior_directory, identity, context.comm(),
                              context.logger());
  const auto make_source = [&](const train::MicroBatches& units, std::int64_t first) {
    return cache ? train::cache_source(*cache, units, seed, first, c.training.updates)
                 : train::online_source(dataset, data::Split::kTrain, *backbone, units, seed, first);
  };
  const auto due = [](std::int64_t update, std::int64_t every) { return every > 0 && update % every == 0; };
  bool write_failed = false;
  const auto observer = [&](std::int64_t update) {
    const bool preview = due(update, c.training.preview_every), exported = due(update, c.training.export_every);
    if (!preview && !exported) return;
    const auto write = [&] {
      if (!context.comm().is_root()) return;
      const auto averaged = averaged_weights(prior, trainer);
      std::filesystem::create_directories(paths.samples());
      if (preview) write_preview(paths.samples() / fmt::format("train{}-{:07}.png", c.is_marginal() ? "-" + c.kind : "", update), prior, *backbone, langevin);
      if (exported) {
        prior::save_prior(paths.prior_directory / fmt::format("ema-{:07}.safetensors", update), prior, c.energy, backbone->groups(), vae_hash,
                          identity);
      }
    };
    try {
      comm::agree(context.comm(), write);
    } catch (const comm::AgreedError& e) {  // a full disk costs a picture, never the run
      if (e.code() != ExitCode::kRuntime) throw;
      write_failed = true;
      context.logger().line("WARNING: {}. Training goes on; the exit code will be 1.", e.what());
    }
  };
  const auto outcome = trainer.run(make_source, context.stop(), observer);
  if (outcome == train::Outcome::kDone) {
    comm::agree(context.comm(), [&] {
      if (!context.comm().is_root()) return;
      const auto averaged = averaged_weights(prior, trainer);
      prior::save_prior(paths.own_prior(), prior, c.energy, backbone->groups(), vae_hash, identity);
    });
    context.logger().line("{}: done after {} updates", paths.own_prior().string(), trainer.update_count());
  }
  return exit_code(outcome, trainer.save_failed() || write_failed);
}

}  // namespace hebm::cli
