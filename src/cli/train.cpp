#include <fmt/format.h>
#include <fmt/ranges.h>
#include "cli/estimate.h"
#include "cli/prior_kind.h"
#include "cli/prior_training.h"
#include "prior/prior_file.h"
#include "storage/files.h"
#include "train/checkpoints.h"
#include "train/online_source.h"

namespace hebm::cli {
namespace {

class Train : public PriorTraining {
 public:
  Train()
      : PriorTraining("hebm_dist train [--prior.kind KIND] [--config FILE.ini] [--section.key VALUE ...]",
            "Trains the diffusion EBM prior (Alg. 1), or one that it is compared with, on all ranks, from the newest "
            "checkpoint if there is one. Result: RUN/prior/prior.safetensors (averaged weights), of another kind "
            "RUN/prior-KIND/prior.safetensors.") {}

  // A script that goes through all kinds need not know which of them are trained.
  int execute(const Invocation& call) override {
    if (kind().objective != nullptr) return RunCommand::execute(call);
    const auto comm = comm::make_communicator(run_.comm);
    Logger(comm->is_root())
        .line("prior.kind = {0}: {1}, nothing to train; `hebm_dist sample --prior.kind {0}` draws from it", kind().name,
            kind().about);
    return 0;
  }
 private:
  void describe(Options& o) override {
    std::vector<std::string> trained;
    for (const PriorKind& kind : prior_kinds()) {
      if (kind.objective != nullptr) trained.push_back(fmt::format("{} ({})", kind.name, kind.about));
    }
    add_prior_kind(o, &kind_name_, fmt::format("the prior to train: {}", fmt::join(trained, ", ")));
    schedule_.describe(o);
    energy_.describe(o);
    langevin_.describe(o);
    own_.describe_training(o);
    training_.describe(o);
    o.outside_fingerprint([&] {
      encoding_.describe(o);
      planned_.describe(o);
    });
  }

  Lines plan() override {
    if (kind().objective == nullptr) return {};
    const bool trained = missing_lines(vae_files(run_)).empty();
    vae_ = trained ? open_vae(run_) : RunVae{RunPaths(run_).vae, planned_backbone(run_, planned_), ""};
    make_prior();
    training_.expect_possible(prior_->per_level(), planned_ranks());
    const RunPaths paths(run_);
    Lines lines = describe_backbone(*vae_.backbone, trained ? "" : paths.vae);
    describe_nets(lines);
    const bool cached = std::filesystem::exists(paths.cache / "index.json");
    if (training_.source == train::Source::kCache)
      lines.push_back(fmt::format(
          "cache: {} is {}", paths.cache.string(), cached ? "there" : "not there yet: hebm_dist encode makes it"));
    describe_training(lines, kind().learns_by_chains ? chains_note() : "");
    if (const std::string note = relaxation_note(); !note.empty()) lines.push_back(note);
    return lines;
  }

  void open() override {
    dataset_.emplace(open_dataset(run_));
    vae_ = open_vae(run_);
    make_prior();
    dataset_->expect_shape(vae_.backbone->image_shape(), "VAE");
  }

  void make_prior() {
    nets_ = energy_;
    nets_.gain *= kind().gain(own_.of(kind()));
    const auto schedule = kind().has_levels ? schedule_.make() : prior::make_marginal_schedule();
    prior_ = std::make_unique<prior::EnergyPrior>(nets_, vae_.backbone->groups(), schedule, seed());
  }

  const PriorKind& kind() const override { return prior_kind(kind_name_); }
  std::filesystem::path directory() const override { return RunPaths(run_, kind()).prior_directory; }
  nlohmann::json fingerprint(const Context& context) const override {
    return fingerprint_of(context.options(), run_, *dataset_, kind());
  }

  // The run's own configuration is that of its prior.
  int work(Context& context) override {
    comm::on_root(context.comm(), [&] {
      storage::sweep_temporaries(context.run(), "config.ini");
      storage::sweep_temporaries(RunPaths(run_).samples, "train-");
      if (!std::filesystem::exists(directory() / storage::run_files::kPriorFile))
        storage::write_file_atomic(context.run() / "config.ini", context.options().dump());
    });
    return PriorTraining::work(context);
  }

  std::unique_ptr<train::Objective> objective(const train::PriorInputs& in, const train::TrainingRun& run) override {
    return kind().objective(training_, in, run);  // a DiffusionObjective (train/diffusion.cpp), but of nce
  }
  bool writes_on_the_way() const override { return kind().learns_by_chains; }

  std::string kind_name_{default_prior_kind().name};
  OwnOptions own_;
  vae::BackboneOptions planned_;  // --dry-run, where the VAE is not there yet
};

}  // namespace

int PriorTraining::work(Context& context) {
  vae_.backbone->params().to(context.device());
  prior_->to(context.device());
  train::TrainingRun run{directory(), fingerprint(context), context.comm(), context.logger(), &context.stop()};
  run.fingerprint["vae_hash"] = vae_.hash;
  const auto file = directory() / storage::run_files::kPriorFile;
  if (train::artifact_done(file, prior::kPriorFormat, prior::kPriorVersion, run.fingerprint, run.comm, run.logger))
    return 0;
  const auto cache = open_cache(context);
  const auto make_source = [&](const train::MicroBatches& batches, std::int64_t first) {
    return cache ? train::cache_source(*cache, batches, seed(), first, training_.updates)
                 : train::online_source(*dataset_, data::Split::kTrain, *vae_.backbone, batches, seed());
  };
  if (const std::string note = relaxation_note(); !note.empty()) run.logger.write(note);
  const auto learnt = objective({*prior_, nets_, *vae_.backbone, langevin_, seed(), make_source}, run);
  train::TrainingLoop loop(*learnt, run);
  bool all_written = true;
  const auto finish = [&] {
    comm::on_root(run.comm, [&] { save(file, run); });
    run.logger.line("{}: done after {} updates", file.string(), training_.updates);
  };
  auto result = loop.run_to_artifact(finish, [&](std::int64_t update) {
    if (!write_on_the_way(run, loop, update)) all_written = false;
  });
  result.save_failed = result.save_failed || !all_written;
  return exit_code(result);
}

template <> std::unique_ptr<Command> make_command<"train">() { return std::make_unique<Train>(); }

}  // namespace hebm::cli
