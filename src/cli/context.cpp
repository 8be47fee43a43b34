#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>

#include "base/error.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/label_options.h"
#include "cli/prior_kind.h"
#include "comm/end_process.h"
#include "comm/report.h"
#include "encode/encode.h"
#include "evaluate/compose.h"
#include "evaluate/evaluate.h"
#include "evaluate/labels.h"
#include "evaluate/ood.h"
#include "evaluate/transition.h"
#include "evaluate/vary.h"
#include "nets/device.h"
#include "prior/energy_net.h"
#include "prior/langevin.h"
#include "prior/nce.h"
#include "sample/sample.h"
#include "storage/files.h"
#include "train/diffusion.h"
#include "train/train_features.h"
#include "train/train_vae.h"
#include "vae/make_backbone.h"

namespace hebm::cli {
namespace fs = std::filesystem;

namespace {

std::string product_folder(const std::string& command) {
  if (command == "train-vae") return "vae";
  if (command == "train-features") return "features";
  if (command == "train") return "prior";
  if (command == "sample") return "samples";
  return command == "evaluate" ? "results" : command;
}

std::vector<std::string> own_command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> out;
  for (std::string argument; std::getline(in, argument, '\0');) out.push_back(argument);
  return out;
}

}  // namespace

void RunOptions::describe(Options& o) {
  const char* root = std::getenv("HEBM_RUNS");
  directory = (fs::path(root != nullptr && *root != '\0' ? root : "runs") / "default").string();
  o.add("run.directory", &directory, "folder of this run; default: HEBM_RUNS (or runs) / default", Show::kCommon);
  o.add("run.vae", &vae, "VAE to use; default: vae/vae.safetensors of the run");
  o.add("run.features", &features, "classifier to use; default: features/features.safetensors of the run");
  o.add("run.cache", &cache, "latent cache to use; default: cache of the run");
  o.add("run.prior", &prior,
        "prior to sample and score; default: prior/prior.safetensors of the run (prior-KIND/ for another prior.kind)");
  o.add("vae.bn_readjust", &bn_readjust,
        "forwards from prior samples that re-estimate the decoder's batch norm before encoding (paper, CIFAR-10: 500); "
        "0: none",
        {0, 10000000});
  o.add("run.seed", &seed, "seed of weights, batches and noise", {0}, Show::kCommon);
  o.add("data.path", &data_path, "data set (hebm_data makes it); default: dataset.h5 in run.directory", Show::kCommon);
  comm.describe(o);
}

RunPaths::RunPaths(const fs::path& directory, const std::string& kind)
    : run(directory),
      prior_directory(run / prior_folder(kind)),
      vae(run / "vae" / "vae.safetensors"),
      features(run / "features" / "features.safetensors"),
      cache(run / "cache"),
      prior(own_prior()) {}

RunPaths::RunPaths(const RunOptions& options, const std::string& kind) : RunPaths(fs::path(options.directory), kind) {
  if (!options.vae.empty()) vae = options.vae;
  if (!options.features.empty()) features = options.features;
  if (!options.cache.empty()) cache = options.cache;
  if (!options.prior.empty()) prior = options.prior;
}

Context::Context(const RunOptions& run, const Options& options, const std::string& command, const fs::path& owned)
    : comm_(comm::make_communicator(run.comm)),
      logger_(comm_->is_root()),
      directory_(run.directory),
      placement_(comm::place(*comm_, run.comm)) {
  at::set_num_threads(placement_.threads);
  at::set_num_interop_threads(1);
  at::globalContext().setFlushDenormal(true);
  nets::use_exact_arithmetic();
  nets::set_graphs(run.comm.graphs);
  comm::agree(*comm_, [&] {
    if (!comm_->is_root()) return;
    if (!owned.empty()) take_lease(owned, command);
    open_run(options, command, owned);
  });
  logger_.line("hebm_dist {} {}: {} rank{} ({}), {}", kVersion, command, comm_->size(), comm_->size() == 1 ? "" : "s",
               comm_->kind(), placement_.describe());
}

fs::path Context::folder_of(const std::string& command, const fs::path& owned) const {
  return (command == "train" || command == "couple") && !owned.empty() ? owned : directory_ / product_folder(command);
}

void Context::take_lease(const fs::path& owned, const std::string& command) {
  lease_.emplace(owned, command, [rank = comm_->rank()](const std::string& why) {
    fmt::print(stderr, "hebm_dist: error: {}; this job ends, what it saved is whole\n", why);
    comm::record_abort(rank, static_cast<int>(ExitCode::kRuntime));
    comm::leave_now(static_cast<int>(ExitCode::kRuntime));
  });
  // What a killed job of this command left under temporary names: nobody else writes these.
  for (const fs::path& folder : {owned, owned / "checkpoints", folder_of(command, owned)})
    storage::sweep_temporaries(folder);
  if (command != "train") return;
  storage::sweep_temporaries(directory_, "config.ini");
  storage::sweep_temporaries(directory_ / "samples", "train-");
}

void Context::open_run(const Options& options, const std::string& command, const fs::path& owned) {
  fs::create_directories(directory_);
  logger_.open_file((directory_ / "log.txt").string());
  // Commands of one pipeline share RUN: each leaves its resolved configuration and surroundings in
  // the folder of its product.
  const fs::path folder = folder_of(command, owned);
  fs::create_directories(folder);
  storage::write_file_atomic(folder / "config.ini", options.dump());
  if (command == "train") storage::write_file_atomic(directory_ / "config.ini", options.dump());
  nlohmann::json env = {{"version", kVersion},     {"command", own_command_line()}, {"ranks", comm_->size()},
                        {"host", placement_.host}, {"threads", placement_.threads}, {"time", std::time(nullptr)}};
  for (const auto& [name, value] : comm::versions()) env["versions"][name] = value;
  storage::write_file_atomic(folder / "env.json", env.dump(2) + "\n");
}

void print_dry_run(const Options& options, const std::vector<std::string>& lines) {
  std::cout << options.dump() << "\n";
  for (const auto& line : lines) std::cout << line << "\n";
}

nlohmann::json identity_of(const Options& options, const std::vector<std::string>& prefixes, const std::string& kind) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [key, value] : options.values()) {
    for (const auto& prefix : prefixes) {
      if (key.starts_with(prefix) && belongs_to_kind(kind, key)) out[key] = value;
    }
  }
  return out;
}

void allow_pipeline_keys(Options& options) {
  Options all("", "");
  RunOptions run;
  vae::BackboneOptions vae;
  train::VaeTrainOptions vae_train;
  train::FeatureTrainOptions features;
  encode::EncodeOptions encode;
  prior::EnergyOptions energy;
  prior::LangevinOptions langevin;
  prior::NceOptions nce;
  prior::ScheduleOptions schedule;
  train::PriorTrainOptions train;
  sample::SampleOptions sample;
  evaluate::EvaluateOptions evaluate;
  evaluate::OodOptions ood;
  evaluate::TransitionOptions transition;
  evaluate::VaryOptions vary;
  evaluate::LabelsOptions labels;
  evaluate::ComposeOptions compose;
  CoupleOptions couple;
  LabelOptions label_chains;
  run.describe(all);
  vae.describe(all);
  vae_train.describe(all);
  features.describe(all);
  encode.describe(all);
  energy.describe(all);
  langevin.describe_drawing(all);
  nce.describe_training(all);
  nce.describe_sampling(all);
  train.describe(all);
  sample.describe(all);
  evaluate.describe(all);
  ood.describe(all);
  transition.describe(all);
  vary.describe(all);
  labels.describe(all);
  compose.describe(all);
  couple.describe(all);
  label_chains.describe_keys(all);
  schedule.describe(all);
  std::vector<std::string> keys = {"prior.kind"};
  for (const auto& [key, value] : all.values()) keys.push_back(key);
  options.allow_known(std::move(keys));
}

void require(const fs::path& file, const std::string& made_by) {
  check(fs::exists(file), ExitCode::kUsage, "{} is not there: run `{}` with the same run.directory first",
        file.string(), made_by);
}

}  // namespace hebm::cli
