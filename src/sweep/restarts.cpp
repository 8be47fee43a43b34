#include "sweep/restarts.h"
#include <fmt/format.h>
#include <algorithm>
#include <functional>
#include <system_error>
#include "base/error.h"
#include "results/json.h"
#include "storage/files.h"
#include "storage/lenient_json.h"
#include "storage/run_files.h"
#include "storage/verified_directory.h"

namespace hebm::sweep {
namespace {

namespace fs = std::filesystem;
namespace files = storage::run_files;

// What is in a folder; nothing where there is none.
std::vector<fs::path> entries(const fs::path& folder) {
  std::error_code error;
  return {fs::directory_iterator(folder, error), fs::directory_iterator()};
}

// The artifacts that a run's trainings make; their checkpoints lie beside them until they are
// there.
std::vector<fs::path> trained_artifacts(const fs::path& run) {
  std::vector<fs::path> out = {run / files::kVae, run / files::kFeatures};
  for (const fs::path& folder : entries(run)) {
    if (folder.filename().string().starts_with("prior")) out.push_back(folder / files::kPriorFile);
  }
  return out;
}

struct Starts {
  Progress reached;
  std::int64_t without_progress = 0;
  static void fields(auto& s, auto& visit) {
    visit("products", s.reached.products, "steps", s.reached.steps, "restarts_without_progress", s.without_progress);
  }
};

}  // namespace

Newest newest_checkpoint(const fs::path& training) {
  Newest out;
  for (const std::string& name : storage::list_directories(training / "checkpoints", "step")) {
    try {
      return {storage::verify_directory(training / "checkpoints" / name), ""};
    } catch (const Error& e) {
      out.problem = e.what();  // damaged: the one before is what a restart would use
    }
  }
  return out;
}

std::string Progress::describe() const { return fmt::format("{} products, {} steps of the next", products, steps); }

Progress progress_of(const fs::path& run) {
  Progress out;
  const auto count = [&](const fs::path& artifact, const std::function<std::int64_t()>& steps) {
    std::error_code error;
    if (fs::exists(artifact, error)) {
      ++out.products;
    } else {
      out.steps += steps();
    }
  };
  const auto num_files = [&](const fs::path& folder, const char* prefix) {
    return std::ranges::count_if(entries(folder), [&](const fs::path& file) {
      return file.filename().string().starts_with(prefix) && file.extension() == ".h5";
    });
  };
  for (const fs::path& artifact : trained_artifacts(run))
    count(artifact, [&] { return storage::integer_in(newest_checkpoint(artifact.parent_path()).manifest, "step"); });
  count(run / files::kCacheIndex, [&] { return num_files(run / files::kCache, "shard-"); });
  count(run / files::kSummary, [] { return 0; });
  out.products += num_files((run / files::kSamples).parent_path(), "");
  return out;
}

void note_start(const fs::path& run, bool restarted, std::int64_t max_restarts) {
  const fs::path file = run / "starts.json";
  std::error_code error;
  const bool again = fs::exists(file, error);
  Starts before, now{progress_of(run)};
  if (again)
    before = results::from_json<Starts>(nlohmann::json::parse(storage::read_file(file, 64 << 10), nullptr, false));
  if (restarted && again && now.reached <= before.reached) now.without_progress = before.without_progress + 1;
  check(now.without_progress <= max_restarts, ExitCode::kRuntime,
      "{}: restarted {} times without getting further than {}; log.txt there says why. It is not "
      "started again by itself",
      run.string(), max_restarts, now.reached.describe());
  storage::create_folders(run);
  storage::write_file_atomic(file, results::to_json(now).dump(2) + "\n");
}

}  // namespace hebm::sweep
