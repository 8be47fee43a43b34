#include "cli/context.h"
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <set>
#include "base/error.h"
#include "base/printable.h"
#include "base/version.h"
#include "comm/end_process.h"
#include "comm/report.h"
#include "nets/device.h"
#include "nets/planned_memory.h"
#include "storage/files.h"
#include "storage/lenient_json.h"

namespace hebm::cli {
namespace {

namespace fs = std::filesystem;
namespace files = storage::run_files;

std::vector<std::string> own_command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> out;
  for (std::string argument; std::getline(in, argument, '\0');) out.push_back(argument);
  return out;
}

// Tensors come and go at the same sizes: what is freed stays with the process, since fresh pages
// cost more than the sums in them. Large blocks go back to the system.
void keep_freed_memory() {
#ifdef __GLIBC__
  constexpr int kMiB = 1 << 20;
  ::mallopt(M_TRIM_THRESHOLD, 1024 * kMiB);
  ::mallopt(M_TOP_PAD, 32 * kMiB);
#endif
  nets::let_go_from(nets::kGoesBack);
}

fs::path given_or(const std::string& given, const fs::path& own) { return given.empty() ? own : fs::path(given); }

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
  describe_compute(o, comm, &gemm);
}

void describe_compute(Options& options, comm::CommOptions& comm, nets::Gemm* gemm) {
  comm.describe(options);
  options.add_choice("compute.gemm", gemm,
      "on the CPU: who multiplies matrices; auto: what the folder's earlier run took, else by processor (bench gemm). "
      "Results differ by rounding");
}

RunPaths::RunPaths(const RunOptions& o, const PriorKind& kind)
    : run(o.directory),
      prior_directory(run / kind.folder()),
      samples((run / files::kSamples).parent_path()),
      results((run / files::kSummary).parent_path()),
      summary(run / files::kSummary),
      own_samples(run / files::kSamples),
      dataset(given_or(o.data_path, run / files::kDataset)),
      vae(given_or(o.vae, run / files::kVae)),
      features(given_or(o.features, run / files::kFeatures)),
      cache(given_or(o.cache, run / files::kCache)),
      prior(given_or(o.prior, prior_directory / files::kPriorFile)) {}

void set_arithmetic(const comm::Placement& placement, const comm::CommOptions& options) {
  keep_freed_memory();
  at::set_num_threads(placement.threads);
  at::set_num_interop_threads(1);
  at::globalContext().setFlushDenormal(true);
  nets::use_exact_arithmetic();
  nets::set_graphs(options.graphs);
}

// A damaged one is no reason to stop: the folder's own command writes it anew. One that cannot be
// read is: what the run took before is not known, and results would differ by rounding.
nets::Gemm recorded_gemm(const fs::path& folder) {
  constexpr std::size_t kMaxBytes = 1 << 16;
  const fs::path file = folder / "env.json";
  if (!fs::is_regular_file(file) || fs::file_size(file) > kMaxBytes) return nets::Gemm::kAuto;
  const auto json = storage::lenient_json(storage::read_file(file, kMaxBytes));
  const auto recorded = value_named<nets::Gemm>(storage::text_in(json, "gemm")).value_or(nets::Gemm::kAuto);
  return nets::gemm_possible(recorded, nets::this_processor()) ? recorded : nets::Gemm::kAuto;
}

// Names and times of the files that a command makes.
static std::string contents_of(const fs::path& folder) {
  std::set<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name != "env.json" && name != "config.ini" && !name.starts_with("lease") && entry.is_regular_file(error))
      out.insert(fmt::format("{} {}", name, entry.last_write_time(error).time_since_epoch().count()));
  }
  return fmt::format("{}", fmt::join(out, "\n"));
}

Context::Context(const RunOptions& run, const Invocation& call, const Folders& folders)
    : options_(call.options),
      phase_(std::string(call.command)),
      comm_(comm::make_communicator(run.comm)),
      logger_(comm_->is_root()),
      directory_(run.directory),
      settings_(folders.settings),
      artifacts_(folders.artifacts.empty() ? folders.settings : folders.artifacts),
      held_(contents_of(artifacts_)),
      placement_(comm::place(*comm_, run.comm)) {
  set_arithmetic(placement_, run.comm);
  comm::agree(*comm_, [&] {
    if (!comm_->is_root()) return;
    if (!folders.leased.empty()) take_lease(folders, std::string(call.command));
    fs::create_directories(directory_);
    logger_.open_file((directory_ / "log.txt").string());
    if (!fs::exists(settings_ / "env.json")) write_settings();
  });
  logger_.line("hebm_dist {} {}: {} rank{} ({}), {}, matrices by {}", kVersion, call.command, comm_->size(),
      comm_->size() == 1 ? "" : "s", name_of(comm_->kind()), placement_.describe(), name_of(nets::gemm()));
  const nets::Gemm recorded = recorded_gemm(settings_);
  if (recorded != nets::Gemm::kAuto && recorded != nets::gemm())
    logger_.line("note: matrices by {}, by {} when {} was begun: results differ by rounding", name_of(nets::gemm()),
        name_of(recorded), settings_.string());
  const auto choices = comm_->all_gather(name_of(nets::gemm()));
  const auto other = std::ranges::find_if(choices, [&](const auto& choice) { return choice != choices[0]; });
  if (other != choices.end())
    logger_.line("matrices by {} on rank 0, by {} on rank {}, whose processor is another: --compute.gemm mkl for all",
        choices[0], *other, other - choices.begin());
}

void Context::take_lease(const Folders& folders, const std::string& command) {
  const auto on_lost = [rank = comm_->rank()](const std::string& why) {
    fmt::print(stderr, "hebm_dist: error: {}; this job ends, what it saved is whole\n", terminal_text(why));
    comm::record_abort(rank, static_cast<int>(ExitCode::kRuntime));
    comm::leave_now(static_cast<int>(ExitCode::kRuntime));
  };
  lease_.emplace(folders.leased, command, on_lost, storage::LeaseTimes{},
      storage::LeaseWait{
          [this](const std::string& line) { logger_.write(line); }, [this] { return stop_.requested(); }});
  // What a killed job of this command left under temporary names: nobody else writes these.
  for (const fs::path& folder : {folders.leased, folders.leased / "checkpoints"}) storage::sweep_temporaries(folder);
  if (folders.product.empty()) {
    storage::sweep_temporaries(folders.settings);
  } else {
    storage::sweep_temporaries(folders.product.parent_path(), folders.product.stem().string() + ".");
  }
}

int Context::carry_out(const std::function<int()>& work) {
  try {
    const int code = work();
    if (code != static_cast<int>(ExitCode::kDone)) return code;
    comm::on_root(*comm_, [&] {
      if (contents_of(artifacts_) != held_) write_settings();
    });
    return code;
  } catch (const comm::AgreedError& stopped) {  // all ranks leave in order: MPI is finalised
    if (stopped.code() != ExitCode::kRequeue) throw;
    logger_.write(stopped.what());
    return static_cast<int>(ExitCode::kRequeue);
  }
}

void Context::write_settings() const {
  fs::create_directories(settings_);
  storage::write_file_atomic(settings_ / "config.ini", options_.dump());
  nlohmann::json env = {{"version", kVersion}, {"command", own_command_line()}, {"ranks", comm_->size()},
      {"host", placement_.host}, {"threads", placement_.threads}, {"gemm", name_of(nets::gemm())},
      {"time", std::time(nullptr)}};
  for (const auto& [name, value] : comm::versions()) env["versions"][name] = value;
  storage::write_file_atomic(settings_ / "env.json", storage::json_text(env, 2) + "\n");
}

void require(const fs::path& file, const std::string& made_by) {
  check(fs::exists(file), ExitCode::kUsage, "{} is not there: run `{}` with the same run.directory first",
      file.string(), made_by);
}

}  // namespace hebm::cli
