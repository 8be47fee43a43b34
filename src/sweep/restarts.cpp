#include "sweep/restarts.h"
#include <fmt/format.h>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include "base/error.h"
#include "storage/files.h"
#include "storage/lenient_json.h"
#include "storage/verified_directory.h"
#include "sweep/run_files.h"

namespace hebm::sweep {
namespace {

namespace fs = std::filesystem;

// What is in a folder; nothing where there is none.
std::vector<fs::path> entries(const fs::path& folder) {
  std::error_code error;
  return {fs::directory_iterator(folder, error), fs::directory_iterator()};
}

// The artifacts that a run's trainings make; their checkpoints lie beside them until they are
// there.
std::vector<fs::path> trained_artifacts(const fs::path& run) {
  std::vector<fs::path> out = {run / kVae, run / kFeatures};
  for (const fs::path& folder : entries(run)) {
    if (folder.filename().string().starts_with("prior")) out.push_back(folder / fs::path(kPrior).filename());
  }
  return out;
}

std::int64_t num_sample_files(const fs::path& run) {
  const auto files = entries((run / kSamples).parent_path());
  return std::count_if(files.begin(), files.end(), [](const fs::path& file) { return file.extension() == ".h5"; });
}

std::int64_t newest_verified(const fs::path& checkpoints) {
  for (const std::string& name : storage::list_directories(checkpoints, "step")) {
    try {
      return storage::verify_directory(checkpoints / name).at("step").get<std::int64_t>();
    } catch (const std::exception&) {
      continue;  // damaged: the one before is what a restart would use
    }
  }
  return 0;
}

std::int64_t whole_shards(const fs::path& cache) {
  const auto files = entries(cache);
  return std::count_if(files.begin(), files.end(), [](const fs::path& file) {
    const std::string name = file.filename().string();
    return name.starts_with("shard-") && name.ends_with(".h5");
  });
}

struct Starts {
  Progress reached;
  std::int64_t without_progress = 0;
};

std::optional<Starts> read_starts(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  const auto json = nlohmann::json::parse(storage::read_file(file, 64 << 10), nullptr, false);
  return Starts{{storage::integer_in(json, "products"), storage::integer_in(json, "steps")},
      storage::integer_in(json, "restarts_without_progress")};
}

}  // namespace

std::string Progress::describe() const { return fmt::format("{} products, {} steps of the next", products, steps); }

Progress progress_of(const fs::path& run) {
  Progress out;
  std::error_code error;
  for (const fs::path& artifact : trained_artifacts(run)) {
    if (fs::exists(artifact, error)) {
      ++out.products;
    } else {
      out.steps += newest_verified(artifact.parent_path() / "checkpoints");
    }
  }
  if (fs::exists(run / kCacheIndex, error)) {
    ++out.products;
  } else {
    out.steps += whole_shards(run / kCache);
  }
  out.products += num_sample_files(run) + (fs::exists(run / kSummary, error) ? 1 : 0);
  return out;
}

void note_start(const fs::path& run, bool restarted, std::int64_t max_restarts) {
  const fs::path file = run / "starts.json";
  const Progress now = progress_of(run);
  const std::optional<Starts> before = read_starts(file);
  const bool stuck = restarted && before && now <= before->reached;
  const std::int64_t count = stuck ? before->without_progress + 1 : 0;
  check(count <= max_restarts, ExitCode::kRuntime,
      "{}: restarted {} times without getting further than {}; log.txt there says why. It is not "
      "started again by itself",
      run.string(), max_restarts, now.describe());
  storage::create_folders(run);
  const nlohmann::json json = {{"products", now.products}, {"steps", now.steps}, {"restarts_without_progress", count}};
  storage::write_file_atomic(file, json.dump(2) + "\n");
}

}  // namespace hebm::sweep
