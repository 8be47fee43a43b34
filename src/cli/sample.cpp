#include "sample/sample.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/label_options.h"
#include "cli/prior_kind.h"
#include "prior/prior_file.h"

namespace hebm::cli {
namespace {

struct SampleCommand {
  RunOptions run;
  std::string kind = "diffusion";
  sample::SampleOptions sampling;
  prior::LangevinOptions langevin;
  prior::NceOptions nce;
  LabelOptions labels;
  std::string label;  // --label; "": without

  void describe(Options& o) {
    run.describe(o);
    add_prior_kind(o, &kind, "the prior to draw from");
    o.add("label", &label,
          "category to draw (Eq. 20), from a prior of `couple`; of several labels LABEL=CATEGORY,LABEL=CATEGORY",
          Show::kCommon);
    labels.describe(o);
    sampling.describe(o);
    langevin.describe_drawing(o);
    nce.describe_sampling(o);
    allow_pipeline_keys(o);
  }
  bool is_trained() const { return kind != "gaussian"; }
  bool resamples() const { return kind == "nce" && nce.sampler == prior::NceSampling::kResampling; }
  std::string name() const {
    if (!label.empty()) return label_file_name(labels.name, label);
    return kind == "nce" ? "nce-" + std::string(name_of(nce.sampler)) : kind;
  }
  sample::DrawLatents draws(const prior::EnergyPrior* prior, const vae::Backbone& backbone) const {
    if (!label.empty())
      return sample::labelled_draws(*prior, backbone, langevin, chosen_categories(label, prior->heads()),
                                    labels.guidance, labels.candidates);
    if (kind == "gaussian") return sample::gaussian_draws(backbone);
    if (kind == "nce") return sample::nce_draws(*prior, backbone, langevin, nce);
    if (kind == "joint") return sample::marginal_draws(*prior, backbone, langevin, prior::NetOutput::kScaled);
    return sample::diffusion_draws(*prior, backbone, langevin);
  }
  Lines dry_run_lines(const prior::EnergyPrior* prior, const vae::Backbone& backbone,
                      const std::filesystem::path& folder) const;
};

Lines SampleCommand::dry_run_lines(const prior::EnergyPrior* prior, const vae::Backbone& backbone,
                                   const std::filesystem::path& folder) const {
  Lines lines = describe_backbone(backbone);
  if (prior != nullptr) lines.push_back(energy_nets_line(*prior));
  lines.push_back(disk_line(
      "result", 1, static_cast<double>(sampling.count) * static_cast<double>(backbone.image_shape().size()), folder));
  const std::string how = prior == nullptr ? ""
                          : resamples()
                              ? fmt::format(", {} proposals for each of {} layers", nce.proposals, prior->num_layers())
                              : fmt::format(", {} levels of {} Langevin steps", prior->num_levels(), langevin.steps);
  lines.push_back(steps_line("chunks", (sampling.count + sampling.chunk - 1) / sampling.chunk,
                             fmt::format("{} images{}", sampling.chunk, how)));
  const std::int64_t parameters = backbone.params().size() + (prior == nullptr ? 0 : prior->num_parameters());
  lines.push_back(
      memory_line({.used = static_cast<double>(parameters),
                   .values = prior == nullptr ? map_values(backbone.params(), backbone.image_shape().height / 2)
                                              : chain_values(*prior, backbone),
                   .images = static_cast<double>(sampling.chunk)}));
  return lines;
}

}  // namespace

int sample_command(Arguments args) {
  Options options(
      "hebm_dist sample [--prior.kind KIND | --label CATEGORY] [--config FILE.ini] [--section.key VALUE ...]",
      "Draws images from the diffusion prior (Alg. 2), one that it is compared with, or one that knows labels "
      "(`couple`), on all ranks. Result: "
      "RUN/samples/KIND.h5 and .png (nce-resampling, nce-langevin), of a label RUN/samples/label-NAME-CATEGORY.h5 and "
      ".png.");
  SampleCommand c;
  c.describe(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  c.langevin = c.langevin.drawing();
  if (!c.label.empty()) {
    check(c.kind == "diffusion", ExitCode::kUsage,
          "--label: a prior of the kind {} has no labels; `hebm_dist couple` couples the diffusion prior", c.kind);
    c.run.prior = labelled_prior(c.run, c.labels.name).string();
  }
  const RunPaths paths(c.run, c.kind);
  const bool prior_is_there = !c.is_trained() || std::filesystem::exists(paths.prior);
  if (action == Options::Action::kDryRun && !(vae_is_there(c.run) && prior_is_there)) {
    std::vector<std::filesystem::path> files = {paths.vae};
    if (c.is_trained()) files.push_back(paths.prior);
    print_dry_run(options, missing_lines(files));
    return 0;
  }
  const RunVae vae =
      open_vae(c.run);  // the VAE comes before the prior: it is the first to be named where both are missing
  const auto& backbone = vae.backbone;
  prior::LoadedPrior loaded;
  if (c.is_trained()) {
    require(paths.prior, c.label.empty() ? train_command_of(c.kind) : "hebm_dist couple");
    loaded = prior::load_prior(paths.prior, backbone->groups(), vae.hash, at::kFloat, c.kind);
    if (!c.label.empty()) {
      expect_heads(loaded, paths.prior);
      static_cast<void>(
          chosen_categories(c.label, loaded.prior->heads()));  // names that are not there: before anything is written
    }
    if (!loaded.prior->heads().empty()) c.langevin = labelled_langevin(c.langevin, c.labels, loaded);
  }
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, c.dry_run_lines(loaded.prior.get(), *backbone, paths.samples()));
    return 0;
  }
  Context context(c.run, options, "sample");
  backbone->params().to(context.device());
  if (loaded.prior) {
    loaded.prior->to(context.device());
    note_other_langevin(options, c.langevin, loaded, context.logger());
  }
  auto identity = sample::sample_identity(c.sampling, vae.hash, {c.kind, loaded.prior_hash, c.langevin, c.nce});
  if (loaded.prior && !loaded.prior->heads().empty()) identity["couple.steps"] = c.langevin.zero_steps;
  if (!c.label.empty()) {
    identity["label"] = c.label;
    identity.update(label_identity(c.labels, c.langevin));
  }
  const auto result =
      sample::write_samples({paths.samples() / (c.name() + ".h5"), c.sampling, identity}, *backbone,
                            c.draws(loaded.prior.get(), *backbone), &context.stop(), context.comm(), context.logger());
  return static_cast<int>(result.stopped ? ExitCode::kRequeue : ExitCode::kDone);
}

}  // namespace hebm::cli
