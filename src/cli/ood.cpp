#include "evaluate/ood.h"
#include <fmt/format.h>
#include "base/error.h"
#include "cli/experiment.h"

namespace hebm::cli {
namespace {

namespace fs = std::filesystem;

class Ood : public ResultCommand {
 public:
  Ood()
      : ResultCommand("hebm_dist ood [--in D1.h5] --out D2.h5 [--config FILE.ini] [--section.key VALUE ...]",
            "Out-of-distribution detection (Sec. 5.2): how well the energy of the upper latent layers tells test "
            "images of D2 from those of D1, on all ranks. Result: RUN/results/ood-D2.json; prints a table.") {}
 private:
  void declare_result(Options& options) override {
    ood_.describe(options);
    drawing_.describe(options);
    options.add("in", &in_path_, "in-distribution data set; default: the run's own", Show::kCommon);
    options.add(
        "out", &out_path_, "out-of-distribution data set (hebm_data import-mnist5k, hebm_data derive)", Show::kCommon);
    options.add("name", &name_, "the result is RUN/results/ood-NAME.json; default: the name of --out");
  }

  std::string json_help() const override { return "print the result as JSON instead of the table"; }

  void resolve() override {
    ResultCommand::resolve();
    check(!out_path_.empty(), ExitCode::kUsage,
        "--out is missing: a data set of other images (hebm_data import-mnist5k or derive makes one)");
    if (name_.empty()) name_ = fs::path(out_path_).stem().string();
    check_plain_name(name_, "--name");
  }

  std::vector<fs::path> inputs() const override {
    auto out = vae_files(run_);
    for (const fs::path& file : {RunPaths(run_).prior, in_file(), fs::path(out_path_)}) out.push_back(file);
    return out;
  }

  void open() override {
    require(in_file(), "hebm_data import-idx --out " + in_file().string() + " ...");
    require(out_path_, "hebm_data import-mnist5k --out " + out_path_ + " ...");
    dataset_.emplace(data::Dataset::open(in_file()));
    out_.emplace(data::Dataset::open(out_path_));
    vae_ = open_vae(run_);
    require(RunPaths(run_).prior, "hebm_dist train");
    prior_ = prior::load_prior(RunPaths(run_).prior, vae_.backbone->groups(), vae_.hash);
    drawing_.expect_trained(prior_);
    ks_ = evaluate::check_ood(ood_, ood_inputs());
  }

  Lines sizes() const override {
    const auto& backbone = *vae_.backbone;
    const std::int64_t chains = std::ssize(ks_) + prior_.prior->num_levels() - 1;
    Lines lines = describe_backbone(backbone);
    lines.push_back(energy_nets_line(*prior_.prior));
    lines.push_back(disk_line("result", 1, 1 << 20, file().parent_path()));
    lines.push_back(steps_line("chunks", 2 * chunks_of(ood_.num_images, ood_.chunk),
        fmt::format("{} images, {} chains of {} Langevin steps", ood_.chunk, chains, drawing_.langevin.steps)));
    lines.push_back(memory_line({.used = prior_.prior->num_parameters() + backbone.params().size(),
        .images = ood_.chunk,
        .work_bytes = chain_bytes(*prior_.prior, backbone, ood_.chunk),
        .data_bytes = kept_bytes(*dataset_) + kept_bytes(*out_)}));
    return lines;
  }

  std::string result_name() const override { return "ood-" + name_; }

  nlohmann::json fingerprint(const Context& context) const override {
    auto out = fingerprint_of(context.options());
    out["vae_hash"] = vae_.hash;
    out["prior_hash"] = prior_.prior_hash;
    out["in_hash"] = dataset_->images_hash();
    out["out_hash"] = out_->images_hash();
    return out;
  }

  nlohmann::json make_json(const comm::Crew& crew) const override {
    return results::to_json(evaluate::ood(ood_, ood_inputs(), crew));
  }
  std::string table(const nlohmann::json& result) const override {
    return results::text_of(results::from_json<results::Ood>(result));
  }

  fs::path in_file() const { return in_path_.empty() ? RunPaths(run_).dataset : fs::path(in_path_); }
  evaluate::OodInputs ood_inputs() const {
    return {{in_file().stem().string(), *dataset_}, {fs::path(out_path_).stem().string(), *out_}, *vae_.backbone,
        *prior_.prior, drawing_.langevin};
  }

  evaluate::OodOptions ood_;
  std::string in_path_, out_path_, name_;
  std::optional<data::Dataset> out_;  // dataset_: --in
  std::vector<std::int64_t> ks_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"ood">() { return std::make_unique<Ood>(); }

}  // namespace hebm::cli
