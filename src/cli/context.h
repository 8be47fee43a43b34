// What the commands on a run directory share: their options, the paths of a run, what every ranked
// command works with (communicator, lease, log).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include "base/options.h"
#include "base/signals.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/prior_kind.h"
#include "comm/communicator.h"
#include "comm/placement.h"
#include "nets/gemm_choice.h"
#include "storage/lease.h"
#include "storage/run_files.h"

namespace hebm::cli {

// Options that all ranked commands have.
struct RunOptions {
  std::string directory{};  // RUN; default HEBM_RUNS (or runs) / default
  std::string data_path{};
  std::string vae{}, features{}, cache{}, prior{};  // empty: this run's own
  std::int64_t seed = 0;
  std::int64_t bn_readjust = 0;  // forwards of batch-norm re-estimation; 0: the VAE as it was trained
  comm::CommOptions comm{};
  nets::Gemm gemm = nets::Gemm::kAuto;
  void describe(Options& options);
};

// All paths of a run: what it makes, and what it reads (its own unless told otherwise); the prior
// is that of one prior.kind.
struct RunPaths {
  explicit RunPaths(const RunOptions& options, const PriorKind& kind = default_prior_kind());

  std::filesystem::path run, prior_directory, samples, results, summary, own_samples;  // own_samples: of run.prior
  std::filesystem::path dataset, vae, features, cache, prior;
};

// Error(kUsage) naming the command that makes it when the file is not there.
void require(const std::filesystem::path& file, const std::string& made_by);

// Of comm::Placement::gpu.
inline at::Device device_of(int gpu) {
  return gpu < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu));
}
// comm.*, compute.*
void describe_compute(Options& options, comm::CommOptions& comm, nets::Gemm* gemm);
// What decides the arithmetic of this process: threads, exact products, no denormals.
void set_arithmetic(const comm::Placement& placement, const comm::CommOptions& options);

// Commands of one pipeline share RUN: each leaves its resolved configuration and surroundings in a
// folder of its own.
struct Folders {
  std::filesystem::path settings;  // config.ini, env.json; beside them lies what the command makes
  // The folder that this command alone writes; rank 0 holds its lease (storage/lease.h), another
  // job's is an Error. Empty: none.
  std::filesystem::path leased;
  std::filesystem::path artifacts{};  // where that lies instead; empty: in settings
};

// Of the earlier run whose settings the folder holds; kAuto: none, or not possible here.
nets::Gemm recorded_gemm(const std::filesystem::path& folder);

// Opens RUN/log.txt. Writes config.ini and env.json (rank 0) where there are none: they say how
// what the folder holds was made. Collective.
class Context {
 public:
  Context(const RunOptions& run, const Invocation& call, const Folders& folders);
  comm::Communicator& comm() { return *comm_; }
  Logger& logger() { return logger_; }
  const Options& options() const { return options_; }
  const StopFlag& stop() const { return stop_; }
  const std::filesystem::path& run() const { return directory_; }
  // The command is done: config.ini and env.json are its own, where it made something.
  void record_settings() const;
  // Where this rank computes.
  at::Device device() const { return device_of(placement_.gpu); }
 private:
  void take_lease(const Folders& folders, const std::string& command);
  void write_settings() const;

  const Options& options_;
  std::unique_ptr<comm::Communicator> comm_;
  Logger logger_;
  StopFlag stop_;
  std::filesystem::path directory_, settings_, artifacts_;
  std::string held_;  // by artifacts_ before
  comm::Placement placement_;
  std::optional<storage::Lease> lease_;
};

// Such a command says its options, what its --dry-run tells, what it reads and what it makes. Its
// execute() stands in main.cpp.
class RunCommand : public Command {
 public:
  using Command::Command;
  void declare(Options& options) final;  // run.*, data.*, comm.*, then describe()
  bool reads_pipeline_ini() const final { return true; }
  int execute(const Invocation& call) override;
  Lines dry_run() {  // what it says beside the configuration
    resolve();
    return plan();
  }
 protected:
  virtual void describe(Options& options) = 0;
  // After parsing: checks across options, and what follows from them. Error(kUsage).
  virtual void resolve() {}
  // --dry-run.
  virtual Lines plan() = 0;
  // Reads what the command needs, and refuses what does not fit, before anything is written.
  virtual void open() = 0;
  virtual Folders folders(const Invocation& call) const { return {RunPaths(run_).run / call.command, {}}; }
  // Returns the exit code.
  virtual int work(Context& context) = 0;

  RunOptions run_;
};

// dry_run() of a RunCommand with these arguments.
Lines plan_lines(const CommandRow& row, Arguments args);

}  // namespace hebm::cli
