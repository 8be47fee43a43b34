#include "cli/experiment.h"

namespace hebm::cli {

std::vector<std::filesystem::path> Experiment::inputs() const {
  const RunPaths paths(run_);
  std::vector<std::filesystem::path> out = {dataset_path(run_), paths.vae, paths.features, paths.prior};
  if (const auto vae = vae_files(run_); vae.size() > 1) out.push_back(vae[1]);
  return out;
}

void Experiment::open() {
  const RunPaths paths(run_);
  require_dataset(run_);
  require(paths.vae, "hebm_dist train-vae");
  require(paths.features, "hebm_dist train-features");
  require(paths.prior, prior_made_by());
  dataset_.emplace(open_dataset(run_));
  vae_ = open_vae(run_);
  features_ = nets::load_feature_net(paths.features);
  prior_ = prior::load_prior(paths.prior, vae_.backbone->groups(), vae_.hash);
  dataset_->expect_shape(vae_.backbone->image_shape(), "VAE");
  dataset_->expect_shape(features_.net->image_shape(), "classifier");
}

void Experiment::prepare(Context& context) const {
  vae_.backbone->params().to(context.device());
  features_.net->params().to(context.device());
  prior_.prior->to(context.device());
  note_other_langevin(context.options(), prior_, context.logger());
}

nlohmann::json Experiment::fingerprint(const Context& context) const {
  auto out = fingerprint_of(context.options(), run_, *dataset_);
  out["vae_hash"] = vae_.hash;
  out["features_hash"] = features_.hash;
  out["prior_hash"] = prior_.prior_hash;
  return out;
}

Lines Experiment::sizes() const {
  const Cost c = cost();
  const auto& backbone = *vae_.backbone;
  const auto& prior = *prior_.prior;
  Lines lines = describe_backbone(backbone);
  lines.push_back(energy_nets_line(prior));
  if (!c.note.empty()) lines.push_back(c.note);
  lines.push_back(disk_line("grid", c.num_grids, static_cast<double>(c.grid_images * backbone.image_shape().size()),
      RunPaths(run_).samples()));
  lines.push_back(steps_line("chunks", c.num_chunks, c.each));
  const std::int64_t weights = prior.num_parameters() + backbone.params().size() + features_.net->params().size();
  lines.push_back(memory_line({.used = static_cast<double>(weights) + static_cast<double>(c.held),
      .values = chain_values(prior, backbone),
      .images = static_cast<double>(c.chunk),
      .data_bytes = kept_bytes(*dataset_)}));
  return lines;
}

void LabelledExperiment::open() {
  Experiment::open();
  expect_heads(prior_, RunPaths(run_).prior);
  drawing_.resolve();
  drawing_.resolve_zero(labels_.steps, prior_);
}

nlohmann::json LabelledExperiment::fingerprint(const Context& context) const {
  auto out = Experiment::fingerprint(context);
  out["attributes"] = data::attributes_text(dataset_->attributes());
  out.update(label_fingerprint(labels_, drawing_.langevin));
  return out;
}

}  // namespace hebm::cli
