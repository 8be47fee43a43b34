#include "train/checkpoints.h"
#include <fmt/format.h>
#include "base/error.h"
#include "nets/tensor_io.h"
#include "storage/lenient_json.h"
#include "storage/verified_directory.h"

namespace hebm::train {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kPartBytes = 256ll << 20;
constexpr const char* kPrefix = "step";

struct Part {
  std::string file;
  std::vector<nets::NamedTensor> tensors;
};

// Consecutive tensors in parts of at most kPartBytes (a larger tensor is a part of its own).
void append_parts(std::vector<Part>& out, const char* kind, const std::vector<nets::NamedTensor>& tensors) {
  std::vector<Part> parts(1);
  std::int64_t size = 0;
  for (const auto& t : tensors) {
    const auto bytes = static_cast<std::int64_t>(t.tensor.nbytes());
    if (!parts.back().tensors.empty() && size + bytes > kPartBytes) {
      parts.emplace_back();
      size = 0;
    }
    parts.back().tensors.push_back(t);
    size += bytes;
  }
  for (std::size_t p = 0; p < parts.size(); ++p)
    out.push_back({fmt::format("{}-{:05}-of-{:05}.safetensors", kind, p + 1, parts.size()), parts[p].tensors});
}

std::vector<Part> all_parts(const TrainingState& state) {
  std::vector<Part> out;
  append_parts(out, "model", state.model);
  append_parts(out, "optimizer", state.optimizer);
  return out;
}

}  // namespace

Checkpoints::Checkpoints(const fs::path& run_directory, nlohmann::json fingerprint, comm::Communicator& comm,
    Logger& logger, std::int64_t keep)
    : directory_(run_directory / "checkpoints"),
      fingerprint_(std::move(fingerprint)),
      comm_(comm),
      logger_(logger),
      keep_(keep) {}

std::optional<CheckpointInfo> Checkpoints::restore(const TrainingState& state) {
  std::string found;  // "name\nmanifest", the root's word
  comm::on_root(comm_, [&] {
    const auto newest = storage::latest_verified(directory_, kPrefix, [&](const std::string& w) { logger_.write(w); });
    if (newest) found = storage::json_text(nlohmann::json{{"name", newest->name}, {"manifest", newest->manifest}});
  });
  found = comm_.all_gather(found)[0];
  if (found.empty()) return std::nullopt;
  CheckpointInfo info;
  std::string hash;
  comm::agree(comm_, [&] {
    const auto json = storage::parse_json(found, "the newest checkpoint of rank 0");
    const auto& manifest = json.at("manifest");
    const std::string difference =
        fingerprint_difference(fingerprint_, manifest.value("identity", nlohmann::json::object()), "run");
    check(difference.empty(), ExitCode::kUsage,
        "{} holds a run with other settings:{}\nGive the run's settings again to go on with it, or choose another "
        "run.directory.",
        directory_.string(), difference);
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
  drop_old();  // a kill may have come before it
  return info;
}

void Checkpoints::expect_none(const std::string& option, bool allowed) {
  comm::on_root(comm_, [&] {
    const std::int64_t count = storage::count_directories(directory_, kPrefix);
    if (count == 0) return;
    check(allowed, ExitCode::kCorrupt,
        "{}: {} checkpoints are there, none of them can be used (damaged or diverged ones are named .bad). Put a good "
        "copy back, choose another run.directory, or train from update 0 with --{} true",
        directory_.string(), count, option);
    logger_.line("{}: none of the {} checkpoints there can be used: training starts from update 0, as --{} says",
        directory_.string(), count, option);
  });
}

void Checkpoints::set_aside(std::int64_t from_step) {
  comm::on_root(comm_, [&] {
    for (const auto& name : storage::list_directories(directory_, kPrefix)) {
      if (std::stoll(name.substr(std::string(kPrefix).size() + 1)) < from_step) break;
      logger_.line("set aside: {}", storage::quarantine(directory_ / name).string());
    }
  });
}

void Checkpoints::save(const TrainingState& state, const CheckpointInfo& info) {
  if (info.step == last_step_) return;
  const nlohmann::json manifest = {{"step", info.step}, {"attempt", info.attempt}, {"identity", fingerprint_},
      {"extra", info.extra}, {"world_size", comm_.size()}};
  const bool saved = attempt(fmt::format("the checkpoint of update {} was not saved", info.step), [&] {
    comm::on_root(comm_, [&] { fs::create_directories(directory_); });
    storage::publish_directory(directory_, fmt::format("{}-{:07}", kPrefix, info.step), manifest,
        [&](const fs::path& folder) {
          std::vector<storage::PartResult> written;
          const auto parts = all_parts(state);
          for (auto p = static_cast<std::size_t>(comm_.rank()); p < parts.size();
               p += static_cast<std::size_t>(comm_.size())) {
            const auto result = nets::save_tensors(folder / parts[p].file, parts[p].tensors, {});
            written.push_back({parts[p].file, result.size, result.hash});
          }
          return written;
        },
        {comm_.rank(), comm_.size(), [&](const std::string& mine) { return comm_.all_gather(mine); }});
  });
  if (!saved) return;
  last_step_ = info.step;
  drop_old();
}

void Checkpoints::drop_old() {
  attempt("old checkpoints were not removed",
      [&] { comm::on_root(comm_, [&] { storage::retain(directory_, kPrefix, static_cast<int>(keep_)); }); });
}

bool Checkpoints::attempt(const std::string& what, const std::function<void()>& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    if (error.code() != ExitCode::kRuntime) throw;
    save_failed_ = true;
    logger_.line("WARNING: {}: {}. Training goes on; the exit code will be 1.", what, error.what());
    return false;
  }
}

std::string fingerprint_difference(const nlohmann::json& wanted, const nlohmann::json& stored, const char* what) {
  // What runs did before these options came.
  nlohmann::json known = {{"energy.net", "small"}, {"energy.power_iterations_in_chain", "false"}};
  if (stored.is_object()) known.update(stored);
  return storage::settings_difference(wanted, known, what);
}

bool artifact_done(const std::filesystem::path& file, const std::string& format, const std::string& version,
    const nlohmann::json& fingerprint, comm::Communicator& comm, Logger& logger) {
  const bool done = comm::root_says(comm, [&] {
    if (!std::filesystem::exists(file)) return false;
    const storage::SafetensorsFile stored(file);
    nets::check_format(stored, format, version);
    const std::string difference = fingerprint_difference(fingerprint, nets::metadata_json(stored, "identity"));
    check(difference.empty(), ExitCode::kUsage,
        "{} was made with other settings:{}\nGive those settings again, remove the file, or choose another "
        "run.directory.",
        file.string(), difference);
    return true;
  });
  if (done) logger.line("{} is there already, made with these settings: nothing to do", file.string());
  return done;
}

}  // namespace hebm::train
