#include "train/checkpoints.h"
#include <fmt/format.h>
#include "base/error.h"
#include "nets/tensor_io.h"
#include "storage/verified_directory.h"
#include "train/product.h"

namespace hebm::train {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kPartBytes = 256ll << 20;
constexpr const char* kPrefix = "step";

// Consecutive tensors in parts of at most kPartBytes (a larger tensor is a part of its own).
std::vector<std::vector<nets::NamedTensor>> split_parts(const std::vector<nets::NamedTensor>& tensors) {
  std::vector<std::vector<nets::NamedTensor>> parts(1);
  std::int64_t size = 0;
  for (const auto& t : tensors) {
    const auto bytes = static_cast<std::int64_t>(t.tensor.nbytes());
    if (!parts.back().empty() && size + bytes > kPartBytes) {
      parts.emplace_back();
      size = 0;
    }
    parts.back().push_back(t);
    size += bytes;
  }
  return parts;
}

struct Part {
  std::string file;
  std::vector<nets::NamedTensor> tensors;
};

std::vector<Part> all_parts(const TrainingState& state) {
  std::vector<Part> out;
  for (const auto& [kind, tensors] : {std::pair{"model", &state.model}, std::pair{"optimizer", &state.optimizer}}) {
    auto parts = split_parts(*tensors);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      out.push_back({fmt::format("{}-{:05}-of-{:05}.safetensors", kind, p + 1, parts.size()), std::move(parts[p])});
    }
  }
  return out;
}

storage::Peers peers_of(comm::Communicator& comm) {
  return {comm.rank(), comm.size(), [&comm](const std::string& mine) { return comm.all_gather(mine); }};
}

}  // namespace

Checkpoints::Checkpoints(
    fs::path run_directory, nlohmann::json identity, comm::Communicator& comm, Logger& logger, int keep)
    : directory_(std::move(run_directory) / "checkpoints"),
      identity_(std::move(identity)),
      comm_(comm),
      logger_(logger),
      keep_(keep) {}

void Checkpoints::check_identity(const nlohmann::json& manifest) const {
  const std::string differences =
      identity_difference(identity_, manifest.value("identity", nlohmann::json::object()), "run");
  check(differences.empty(), ExitCode::kUsage,
      "{} holds a run with other settings:{}\nGive the run's settings again to go on with it, or choose another "
      "run.directory.",
      directory_.string(), differences);
}

std::optional<CheckpointInfo> Checkpoints::load_newest(const TrainingState& state) {
  std::string found;  // "name\nmanifest", the root's word
  comm::agree(comm_, [&] {
    if (!comm_.is_root()) return;
    const auto newest = storage::latest_verified(directory_, kPrefix, [&](const std::string& w) { logger_.write(w); });
    if (newest) found = nlohmann::json{{"name", newest->name}, {"manifest", newest->manifest}}.dump();
  });
  found = comm_.all_gather(found)[0];
  if (found.empty()) return std::nullopt;
  CheckpointInfo info;
  std::string hash;
  comm::agree(comm_, [&] {
    const auto json = nlohmann::json::parse(found);
    const auto& manifest = json.at("manifest");
    check_identity(manifest);
    const fs::path folder = directory_ / json.at("name").get<std::string>();
    for (const Part& part : all_parts(state))
      nets::load_tensors(storage::SafetensorsFile(folder / part.file), part.tensors);
    info.step = manifest.at("step").get<std::int64_t>();
    info.attempt = manifest.at("attempt").get<std::int64_t>();
    info.extra = manifest.value("extra", nlohmann::json::object());
    hash = nets::hash_tensors(state.model) + nets::hash_tensors(state.optimizer);
  });
  const auto hashes = comm_.all_gather(hash);
  for (std::size_t r = 0; r < hashes.size(); ++r) {
    check(hashes[r] == hash, ExitCode::kCorrupt,
        "{}: rank {} restored another state (hash {}, here {}): do all nodes see the same files?", directory_.string(),
        r, hashes[r], hash);
  }
  last_step_ = info.step;
  return info;
}

std::optional<CheckpointInfo> Checkpoints::restore(const TrainingState& state) {
  const auto info = load_newest(state);
  if (info) logger_.line("goes on from {} after {} updates", directory_.string(), info->step);
  return info;
}

std::optional<CheckpointInfo> Checkpoints::roll_back(const TrainingState& state, std::int64_t below_step) {
  comm::agree(comm_, [&] {
    if (!comm_.is_root()) return;
    for (const auto& name : storage::list_directories(directory_, kPrefix)) {
      if (std::stoll(name.substr(std::string(kPrefix).size() + 1)) < below_step) break;
      logger_.line("set aside: {}", storage::quarantine(directory_ / name).string());
    }
  });
  return load_newest(state);
}

void Checkpoints::save(const TrainingState& state, const CheckpointInfo& info) {
  if (info.step == last_step_) return;
  const nlohmann::json manifest = {{"step", info.step}, {"attempt", info.attempt}, {"identity", identity_},
      {"extra", info.extra}, {"world_size", comm_.size()}};
  try {
    comm::agree(comm_, [&] {
      if (comm_.is_root()) fs::create_directories(directory_);
    });
    storage::publish_directory(
        directory_, fmt::format("{}-{:07}", kPrefix, info.step), manifest,
        [&](const fs::path& folder) {
          std::vector<storage::PartResult> written;
          const auto parts = all_parts(state);
          for (std::size_t p = 0; p < parts.size(); ++p) {
            if (static_cast<int>(p % static_cast<std::size_t>(comm_.size())) != comm_.rank()) continue;
            const auto result = nets::save_tensors(folder / parts[p].file, parts[p].tensors, {});
            written.push_back({parts[p].file, result.size, result.hash});
          }
          return written;
        },
        peers_of(comm_));
    last_step_ = info.step;
  } catch (const Error& e) {
    note_failure(e, fmt::format("the checkpoint of update {} was not saved", info.step));
    return;
  }
  try {
    comm::agree(comm_, [&] {
      if (comm_.is_root()) storage::retain(directory_, kPrefix, keep_);
    });
  } catch (const Error& e) {
    note_failure(e, "old checkpoints were not removed");
  }
}

// Only the disk's failures are borne; call from a handler.
void Checkpoints::note_failure(const Error& error, const std::string& what) {
  if (error.code() != ExitCode::kRuntime) throw;
  save_failed_ = true;
  logger_.line("WARNING: {}: {}. Training goes on; the exit code will be 1.", what, error.what());
}

}  // namespace hebm::train
