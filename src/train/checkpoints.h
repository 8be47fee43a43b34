// What a training leaves on disk, each for one fingerprint: its state,
// checkpoints/step-0000400/{model,optimizer}-00001-of-0000P.safetensors + manifest.json, and at the
// end its artifact. P depends on sizes only (<= 256 MB a part); part p is written by rank p mod N,
// so any N reads it. Publishing, verifying and quarantine: storage/verified_directory.h.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
#include "base/status.h"
#include "comm/communicator.h"
#include "nets/parameters.h"

namespace hebm::train {

// Everything a resumed run needs, as live tensors: saved from and restored into.
struct TrainingState {
  std::vector<nets::NamedTensor> model;      // weights and power-iteration vectors
  std::vector<nets::NamedTensor> optimizer;  // moments, update counts, EMA
};

struct CheckpointInfo {
  std::int64_t step = 0;     // updates done
  std::int64_t attempt = 0;  // rollbacks so far; part of every random key
  nlohmann::json extra;      // what the trainer adds (running medians, ...)
};

class Checkpoints {
 public:
  // fingerprint: the settings a run may not change (key -> value); another one on disk is
  // Error(kUsage) naming them.
  Checkpoints(const std::filesystem::path& run_directory, nlohmann::json fingerprint, comm::Communicator& comm,
      Logger& logger, std::int64_t keep);
  // Newest checkpoint that verifies, into `state`; the same on all ranks, agreed by a hash of the
  // restored state.
  std::optional<CheckpointInfo> restore(const TrainingState& state);
  // Where restore() has found none: checkpoints that cannot be used are Error(kCorrupt) unless
  // `allowed`; `option` is what allows them.
  void expect_none(const std::string& option, bool allowed);
  // Those from this step on are quarantined.
  void set_aside(std::int64_t from_step);
  // A failed save is logged, leaves the earlier ones as they are and makes save_failed() true;
  // training goes on.
  void save(const TrainingState& state, const CheckpointInfo& info);
  bool save_failed() const { return save_failed_; }
  // Of the newest saved or restored state; -1 before.
  std::int64_t last_step() const { return last_step_; }
 private:
  // False where the disk failed, which is borne and told as `what`.
  void drop_old();
  bool attempt(const std::string& what, const std::function<void()>& work);

  std::filesystem::path directory_;
  nlohmann::json fingerprint_;
  comm::Communicator& comm_;
  Logger& logger_;
  std::int64_t keep_;
  bool save_failed_ = false;
  std::int64_t last_step_ = -1;
};

// "\n  key: the `what` has A, you ask for B" for every key of `wanted` that differs; "" when none
// does.
std::string fingerprint_difference(
    const nlohmann::json& wanted, const nlohmann::json& stored, const char* what = "file");

// A net's final file (vae.safetensors, features.safetensors), made once for one set of settings.
// Collective. True when `file` is there and was made with this fingerprint (which is logged); false
// when it is not there. Another fingerprint: Error(kUsage) naming the keys; a damaged file:
// Error(kCorrupt).
bool artifact_done(const std::filesystem::path& file, const std::string& format, const std::string& version,
    const nlohmann::json& fingerprint, comm::Communicator& comm, Logger& logger);

}  // namespace hebm::train
