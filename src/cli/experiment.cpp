#include "cli/experiment.h"
#include <algorithm>
#include <iostream>
#include "storage/files.h"
#include "storage/json.h"

namespace hebm::cli {
namespace {

// The result in `file` where it was made with this fingerprint, on rank 0 alone; else make()'s,
// which is written there with it. Collective.
nlohmann::json kept_result(const std::filesystem::path& file, const nlohmann::json& fingerprint, Context& context,
    const std::function<nlohmann::json()>& make) {
  nlohmann::json result;
  const bool done = comm::root_says(context.comm(), [&] {
    if (!std::filesystem::exists(file)) return false;
    result = storage::lenient_json(storage::read_file(file));
    return result.is_object() && result.value("identity", nlohmann::json()) == fingerprint;
  });
  if (done) {
    context.logger().line("{} is there already, made with these settings: nothing to do", file.string());
    return result;
  }
  const Timer timer;
  result = make();
  if (const auto seconds = result.find("seconds"); seconds != result.end() && seconds->is_null())
    *seconds = timer.seconds();
  result["identity"] = fingerprint;
  comm::on_root(context.comm(), [&] {
    std::filesystem::create_directories(file.parent_path());
    storage::write_file_atomic(file, storage::json_text(result, 2) + "\n");
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
  if (context.comm().is_root())
    std::cout << (json_ ? storage::json_text(result, 2) + "\n" : table(result)) << std::flush;
  return 0;
}

void ResultCommand::open_scoring() {
  if (!dataset_) dataset_.emplace(open_dataset(run_));  // evaluate has it already
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

namespace {

class ExperimentCommand : public ResultCommand {
 public:
  explicit ExperimentCommand(std::unique_ptr<evaluate::Experiment> experiment)
      : ResultCommand(experiment->usage, experiment->about), experiment_(std::move(experiment)) {}
 private:
  void declare_result(Options& options) override {
    if (experiment_->labelled) labels_.describe(options);  // --name, couple.*
    experiment_->describe(options);
    drawing_.describe(options);
  }

  void resolve() override {
    ResultCommand::resolve();
    experiment_->adapt(drawing_.langevin);
    if (experiment_->labelled) run_.prior = labelled_prior(run_, labels_.name).string();
  }

  std::vector<std::filesystem::path> inputs() const override {
    const RunPaths paths(run_);
    std::vector<std::filesystem::path> out = {paths.dataset, paths.vae, paths.features, paths.prior};
    if (const auto vae = vae_files(run_); vae.size() > 1) out.push_back(vae[1]);
    return out;
  }

  void open() override {
    open_scoring();
    const auto file = RunPaths(run_).prior;
    require(file, experiment_->labelled ? "hebm_dist couple" : "hebm_dist train");
    prior_ = prior::load_prior(file, vae_.backbone->groups(), vae_.hash);
    drawing_.expect_trained(prior_);
    if (experiment_->labelled) {
      expect_heads(prior_, file);
      drawing_.resolve_zero(labels_.steps, prior_);
    }
    experiment_->open({{*dataset_, *vae_.backbone, features_}, *prior_.prior, drawing_.langevin,
        {labels_.guidance, labels_.candidates}, labels_.name});
  }

  Lines sizes() const override {
    const evaluate::Cost cost = experiment_->cost();
    const auto& backbone = *vae_.backbone;
    const auto& prior = *prior_.prior;
    Lines lines = describe_backbone(backbone);
    lines.push_back(energy_nets_line(prior));
    if (!cost.note.empty()) lines.push_back(cost.note);
    lines.push_back(
        disk_line("grid", cost.num_grids, cost.grid_images * backbone.image_shape().size(), RunPaths(run_).samples));
    lines.push_back(steps_line("chunks", cost.sets * chunks_of(cost.num_chains, cost.chunk), cost.each));
    lines.push_back(memory_line(
        {.used = prior.num_parameters() + backbone.params().size() + features_.net->params().size() + cost.held,
            .images = cost.chunk,
            .work_bytes = chain_bytes(prior, backbone, cost.chunk),
            .data_bytes = kept_bytes(*dataset_)}));
    return lines;
  }

  std::string result_name() const override { return experiment_->result_name(); }

  nlohmann::json fingerprint(const Context& context) const override {
    auto out = ResultCommand::fingerprint(context);
    if (experiment_->labelled) {
      out["attributes"] = data::attributes_text(dataset_->attributes());
      out.update(label_fingerprint(labels_, drawing_.langevin));
    }
    experiment_->add_fingerprint(out);
    return out;
  }

  nlohmann::json make_json(Context& context) const override {
    return experiment_->make_json({context.comm(), context.logger(), RunPaths(run_).samples});
  }
  std::string table(const nlohmann::json& result) const override { return experiment_->table(result); }

  void prepare(Context& context) const override {
    ResultCommand::prepare(context);
    note_other_langevin(context.options(), prior_, context.logger());
  }

  std::unique_ptr<evaluate::Experiment> experiment_;
  LabelOptions labels_;  // where it is on a prior of `couple`
};

}  // namespace

std::unique_ptr<Command> command_of(std::unique_ptr<evaluate::Experiment> experiment) {
  return std::make_unique<ExperimentCommand>(std::move(experiment));
}

}  // namespace hebm::cli
