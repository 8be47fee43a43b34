// One file a command. A command declares its options once, parses, and runs with what every ranked
// command has: communicator, run directory, log. main() catches, prefixes rank and host once, and
// ends the world with the error's exit code.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/options.h"
#include "base/signals.h"
#include "base/status.h"
#include "comm/communicator.h"
#include "comm/placement.h"
#include "storage/lease.h"

namespace hebm::cli {

using Arguments = std::span<const std::string>;

// Options that all ranked commands have.
struct RunOptions {
  std::string directory;  // RUN; default HEBM_RUNS (or runs) / default
  std::string data_path;
  std::string vae, features, cache, prior;  // empty: this run's own
  std::int64_t seed = 0;
  std::int64_t bn_readjust = 0;  // forwards of batch-norm re-estimation; 0: the VAE as it was trained
  comm::CommOptions comm;
  void describe(Options& options);
};

// Of comm::Placement::gpu.
inline at::Device device_of(int gpu) {
  return gpu < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu));
}

// The ranked commands' common part, from parsed options on. Opens RUN/log.txt, writes
// RUN/config.ini and RUN/env.json (rank 0).
class Context {
 public:
  // owned: the folder that this command alone writes; rank 0 holds its lease (storage/lease.h),
  // another job's is an Error.
  Context(const RunOptions& run, const Options& options, const std::string& command,
          const std::filesystem::path& owned = {});
  comm::Communicator& comm() { return *comm_; }
  Logger& logger() { return logger_; }
  const StopFlag& stop() const { return stop_; }
  const std::filesystem::path& run() const { return directory_; }
  const comm::Placement& placement() const { return placement_; }
  // Where this rank computes.
  at::Device device() const { return device_of(placement_.gpu); }

 private:
  void take_lease(const std::filesystem::path& owned, const std::string& command);
  // Where the command leaves its resolved configuration.
  std::filesystem::path folder_of(const std::string& command, const std::filesystem::path& owned) const;
  void open_run(const Options& options, const std::string& command, const std::filesystem::path& owned);

  std::unique_ptr<comm::Communicator> comm_;
  Logger logger_;
  StopFlag stop_;
  std::filesystem::path directory_;
  comm::Placement placement_;
  std::optional<storage::Lease> lease_;
};

// --dry-run: prints the resolved configuration and these lines.
void print_dry_run(const Options& options, const std::vector<std::string>& lines);

// key -> value text of the options whose key starts with one of the prefixes and belongs to this
// prior.kind: what a product depends on.
nlohmann::json identity_of(const Options& options, const std::vector<std::string>& prefixes,
                           const std::string& kind = "diffusion");

// Tells `options` all keys that other commands know, so that one INI serves the whole pipeline.
void allow_pipeline_keys(Options& options);

// All paths of a run: what it makes, and what it reads (its own unless told otherwise); the prior
// is that of one prior.kind.
struct RunPaths {
  explicit RunPaths(const RunOptions& options, const std::string& kind = "diffusion");
  explicit RunPaths(const std::filesystem::path& directory, const std::string& kind = "diffusion");

  std::filesystem::path run, prior_directory, vae, features, cache, prior;
  std::filesystem::path own_prior() const { return prior_directory / "prior.safetensors"; }
  std::filesystem::path samples() const { return run / "samples"; }
  std::filesystem::path results() const { return run / "results"; }
  std::filesystem::path summary() const { return results() / "summary.json"; }
};
// Error(kUsage) naming the command that makes it when the file is not there.
void require(const std::filesystem::path& file, const std::string& made_by);

int train_vae_command(Arguments args);
int train_features_command(Arguments args);
int encode_command(Arguments args);
int train_command(Arguments args);
int sample_command(Arguments args);
int evaluate_command(Arguments args);
int ood_command(Arguments args);
int transition_command(Arguments args);
int vary_command(Arguments args);
int couple_command(Arguments args);
int labels_command(Arguments args);
int compose_command(Arguments args);
int replay_command(Arguments args);
int report_command(Arguments args);
int status_command(Arguments args);
int cache_command(Arguments args);
int doctor_command(Arguments args);
int bench_command(Arguments args);
int sweep_command(Arguments args);

struct Command {
  std::string_view name, about;
  int (*run)(Arguments);
};
std::span<const Command> commands();                 // in the order of a run
const Command* find_command(std::string_view name);  // or null

}  // namespace hebm::cli
