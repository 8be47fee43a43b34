#include "cli/context.h"
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include "base/error.h"
#include "base/version.h"
#include "comm/end_process.h"
#include "comm/report.h"
#include "nets/device.h"
#include "storage/files.h"

namespace hebm::cli {
namespace fs = std::filesystem;

namespace {

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

RunPaths::RunPaths(const fs::path& directory, const PriorKind& kind)
    : run(directory),
      prior_directory(run / kind.folder()),
      vae(run / "vae" / "vae.safetensors"),
      features(run / "features" / "features.safetensors"),
      cache(run / "cache"),
      prior(own_prior()) {}

RunPaths::RunPaths(const RunOptions& options, const PriorKind& kind) : RunPaths(fs::path(options.directory), kind) {
  if (!options.vae.empty()) vae = options.vae;
  if (!options.features.empty()) features = options.features;
  if (!options.cache.empty()) cache = options.cache;
  if (!options.prior.empty()) prior = options.prior;
}

void set_arithmetic(const comm::Placement& placement, const comm::CommOptions& options) {
  at::set_num_threads(placement.threads);
  at::set_num_interop_threads(1);
  at::globalContext().setFlushDenormal(true);
  nets::use_exact_arithmetic();
  nets::set_graphs(options.graphs);
}

Context::Context(const RunOptions& run, const Invocation& call, const Folders& folders)
    : options_(call.options),
      comm_(comm::make_communicator(run.comm)),
      logger_(comm_->is_root()),
      directory_(run.directory),
      placement_(comm::place(*comm_, run.comm)) {
  set_arithmetic(placement_, run.comm);
  comm::agree(*comm_, [&] {
    if (!comm_->is_root()) return;
    if (!folders.leased.empty()) take_lease(folders, std::string(call.command));
    fs::create_directories(directory_);
    logger_.open_file((directory_ / "log.txt").string());
    write_settings(folders.settings);
  });
  logger_.line("hebm_dist {} {}: {} rank{} ({}), {}", kVersion, call.command, comm_->size(),
      comm_->size() == 1 ? "" : "s", name_of(comm_->kind()), placement_.describe());
}

void Context::take_lease(const Folders& folders, const std::string& command) {
  lease_.emplace(folders.leased, command, [rank = comm_->rank()](const std::string& why) {
    fmt::print(stderr, "hebm_dist: error: {}; this job ends, what it saved is whole\n", why);
    comm::record_abort(rank, static_cast<int>(ExitCode::kRuntime));
    comm::leave_now(static_cast<int>(ExitCode::kRuntime));
  });
  // What a killed job of this command left under temporary names: nobody else writes these.
  for (const fs::path& folder : {folders.leased, folders.leased / "checkpoints", folders.settings})
    storage::sweep_temporaries(folder);
}

void Context::write_settings(const fs::path& folder) const {
  fs::create_directories(folder);
  storage::write_file_atomic(folder / "config.ini", options_.dump());
  nlohmann::json env = {{"version", kVersion}, {"command", own_command_line()}, {"ranks", comm_->size()},
      {"host", placement_.host}, {"threads", placement_.threads}, {"time", std::time(nullptr)}};
  for (const auto& [name, value] : comm::versions()) env["versions"][name] = value;
  storage::write_file_atomic(folder / "env.json", env.dump(2) + "\n");
}

void require(const fs::path& file, const std::string& made_by) {
  check(fs::exists(file), ExitCode::kUsage, "{} is not there: run `{}` with the same run.directory first",
      file.string(), made_by);
}

}  // namespace hebm::cli
