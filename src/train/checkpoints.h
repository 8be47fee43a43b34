// Training state on disk: checkpoints/step-0000400/{model,optimizer}-00001-of-0000P.safetensors +
// manifest.json. P depends on sizes only (<= 256 MB a part); part p is written by rank p mod N, so
// any N reads it. Publishing, verifying and quarantine are storage/verified_directory.h's protocol.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
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
  // identity: the settings a run may not change (key -> value); another identity on disk is
  // Error(kUsage) naming them.
  Checkpoints(
      std::filesystem::path run_directory, nlohmann::json identity, comm::Communicator& comm, Logger& logger, int keep);
  // Newest checkpoint that verifies, into `state`; the same on all ranks, agreed by a hash of the
  // restored state.
  std::optional<CheckpointInfo> restore(const TrainingState& state);
  // The newest one below `step` (all of it again): newer ones are quarantined.
  std::optional<CheckpointInfo> roll_back(const TrainingState& state, std::int64_t below_step);
  // A failed save is logged, leaves the earlier ones as they are and makes save_failed() true;
  // training goes on.
  void save(const TrainingState& state, const CheckpointInfo& info);
  bool save_failed() const { return save_failed_; }
  // Of the newest saved or restored state; -1 before.
  std::int64_t last_step() const { return last_step_; }
 private:
  std::optional<CheckpointInfo> load_newest(const TrainingState& state);
  void check_identity(const nlohmann::json& manifest) const;
  void note_failure(const Error& error, const std::string& what);

  std::filesystem::path directory_;
  nlohmann::json identity_;
  comm::Communicator& comm_;
  Logger& logger_;
  int keep_;
  bool save_failed_ = false;
  std::int64_t last_step_ = -1;
};

}  // namespace hebm::train
