#include "sample/sample.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "prior/prior_file.h"

namespace hebm::cli {
namespace {

Lines dry_run_lines(const sample::SampleOptions& sampling, const prior::LangevinOptions& langevin, const prior::EnergyPrior& prior,
                    const vae::Backbone& backbone, const std::filesystem::path& folder) {
  Lines lines = describe_backbone(backbone);
  lines.push_back(energy_nets_line(prior));
  lines.push_back(disk_line("result", 1, static_cast<double>(sampling.count) * static_cast<double>(backbone.image_shape().size()), folder));
  lines.push_back(steps_line("chunks", (sampling.count + sampling.chunk - 1) / sampling.chunk,
                             fmt::format("{} images, {} levels of {} Langevin steps", sampling.chunk, prior.num_levels(), langevin.steps)));
  lines.push_back(memory_line({.used = static_cast<double>(prior.num_parameters() + backbone.params().size()),
                               .values = chain_values(prior, backbone),
                               .images = static_cast<double>(sampling.chunk)}));
  return lines;
}

}  // namespace

int sample_command(Arguments args) {
  Options options("hebm_dist sample [--config FILE.ini] [--section.key VALUE ...]",
                  "Draws images from the diffusion prior (Alg. 2) on all ranks. Result: RUN/samples/diffusion.h5 and .png.");
  RunOptions run;
  sample::SampleOptions sampling;
  prior::LangevinOptions langevin;
  run.describe(options);
  sampling.describe(options);
  langevin.describe(options);
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const RunPaths paths(run);
  if (action == Options::Action::kDryRun && !(vae_is_there(run) && std::filesystem::exists(paths.prior))) {
    print_dry_run(options, missing_lines({paths.vae, paths.prior}));
    return 0;
  }
  const RunVae vae = open_vae(run);  // the VAE comes before the prior: it is the first to be named where both are missing
  require(paths.prior, "hebm_dist train");
  const auto& backbone = vae.backbone;
  const std::string& vae_hash = vae.hash;
  const auto loaded = prior::load_prior(paths.prior, backbone->groups(), vae_hash);
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, dry_run_lines(sampling, langevin, *loaded.prior, *backbone, paths.samples()));
    return 0;
  }
  Context context(run, options, "sample");
  backbone->params().to(context.device());
  loaded.prior->to(context.device());
  note_other_langevin(options, loaded, context.logger());
  const auto identity = sample::sample_identity(sampling, langevin, vae_hash, loaded.prior_hash);
  const auto result = sample::write_samples(paths.samples(), "diffusion", sampling, langevin, *backbone, loaded.prior.get(), identity,
                                            &context.stop(), context.comm(), context.logger());
  return static_cast<int>(result.stopped ? ExitCode::kRequeue : ExitCode::kDone);
}

}  // namespace hebm::cli
