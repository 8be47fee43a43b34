#include "cli/experiment.h"
#include <algorithm>
#include <iostream>
#include "storage/files.h"

namespace hebm::cli {
namespace {

// The result in `file` where it was made with this fingerprint, on rank 0 alone; else make()'s,
// which is written there with it. Collective.
nlohmann::json kept_result(const std::filesystem::path& file, const nlohmann::json& fingerprint, Context& context,
    const std::function<nlohmann::json()>& make) {
  nlohmann::json result;
  const bool done = comm::root_says(context.comm(), [&] {
    if (!std::filesystem::exists(file)) return false;
    result = nlohmann::json::parse(storage::read_file(file), nullptr, false);
    return result.is_object() && result.value("identity", nlohmann::json()) == fingerprint;
  });
  if (done) {
    context.logger().line("{} is there already, made with these settings: nothing to do", file.string());
    return result;
  }
  result = make();
  result["identity"] = fingerprint;
  comm::on_root(context.comm(), [&] {
    std::filesystem::create_directories(file.parent_path());
    storage::write_file_atomic(file, result.dump(2) + "\n");
  });
  return result;
}

}  // namespace

void ResultCommand::describe(Options& options) {
  declare_result(options);
  options.add("json", &json_, json_help());
}

Lines ResultCommand::plan() {
  if (const Lines missing = missing_lines(inputs()); !missing.empty()) return missing;
  open();
  return sizes();
}

int ResultCommand::work(Context& context) {
  prepare(context);
  nlohmann::json made_with;
  comm::agree(context.comm(), [&] { made_with = fingerprint(context); });
  const auto result = kept_result(file(), made_with, context, [&] { return make_json(context); });
  if (context.comm().is_root()) std::cout << (json_ ? result.dump(2) + "\n" : table(result)) << std::flush;
  return 0;
}

void ResultCommand::open_scoring() {
  const RunPaths paths(run_);
  require(paths.vae, "hebm_dist train-vae");
  require(paths.features, "hebm_dist train-features");
  vae_ = open_vae(run_);
  features_ = nets::load_feature_net(paths.features);
  dataset_->expect_shape(vae_.backbone->image_shape(), "VAE");
  dataset_->expect_shape(features_.net->image_shape(), "classifier");
}

nlohmann::json ResultCommand::fingerprint(const Context& context) const {
  auto out = fingerprint_of(context.options(), run_, *dataset_);
  out["vae_hash"] = vae_.hash;
  out["features_hash"] = features_.hash;
  out["prior_hash"] = prior_.prior_hash;
  return out;
}

void ResultCommand::prepare(Context& context) const {
  vae_.backbone->params().to(context.device());
  if (features_.net) features_.net->params().to(context.device());
  if (prior_.prior) prior_.prior->to(context.device());
}

std::vector<std::filesystem::path> Experiment::inputs() const {
  const RunPaths paths(run_);
  std::vector<std::filesystem::path> out = {paths.dataset, paths.vae, paths.features, paths.prior};
  if (const auto vae = vae_files(run_); vae.size() > 1) out.push_back(vae[1]);
  return out;
}

void Experiment::open() {
  dataset_.emplace(open_dataset(run_));
  open_scoring();
  require(RunPaths(run_).prior, prior_made_by());
  prior_ = prior::load_prior(RunPaths(run_).prior, vae_.backbone->groups(), vae_.hash);
}

void Experiment::prepare(Context& context) const {
  ResultCommand::prepare(context);
  note_other_langevin(context.options(), prior_, context.logger());
}

Lines Experiment::sizes() const {
  const Cost c = cost();
  const auto& backbone = *vae_.backbone;
  const auto& prior = *prior_.prior;
  Lines lines = describe_backbone(backbone);
  lines.push_back(energy_nets_line(prior));
  if (!c.note.empty()) lines.push_back(c.note);
  lines.push_back(
      disk_line("grid", c.num_grids, c.grid_images * backbone.image_shape().size(), RunPaths(run_).samples));
  lines.push_back(steps_line("chunks", c.num_chunks, c.each));
  lines.push_back(
      memory_line({.used = prior.num_parameters() + backbone.params().size() + features_.net->params().size() + c.held,
          .images = c.chunk,
          .work_bytes = chain_bytes(prior, backbone, c.chunk),
          .data_bytes = kept_bytes(*dataset_)}));
  return lines;
}

void LabelledExperiment::resolve() {
  Experiment::resolve();
  run_.prior = labelled_prior(run_, labels_.name).string();
}

void LabelledExperiment::open() {
  Experiment::open();
  expect_heads(prior_, RunPaths(run_).prior);
  drawing_.resolve_zero(labels_.steps, prior_);
}

nlohmann::json LabelledExperiment::fingerprint(const Context& context) const {
  auto out = Experiment::fingerprint(context);
  out["attributes"] = data::attributes_text(dataset_->attributes());
  out.update(label_fingerprint(labels_, drawing_.langevin));
  return out;
}

}  // namespace hebm::cli
