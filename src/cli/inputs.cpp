#include "cli/inputs.h"

#include "base/error.h"

namespace hebm::cli {

std::filesystem::path dataset_path(const RunOptions& run) {
  return run.data_path.empty() ? std::filesystem::path(run.directory) / "dataset.h5" : std::filesystem::path(run.data_path);
}

data::Dataset open_dataset(const RunOptions& run) {
  const auto path = dataset_path(run);
  require(path, "hebm_data import-idx --out " + path.string() + " ...");
  return data::Dataset::open(path);
}

nlohmann::json product_identity(const Options& options, const std::vector<std::string>& prefixes, std::int64_t seed,
                                const data::Dataset& dataset) {
  nlohmann::json out = identity_of(options, prefixes);
  for (const auto& [key, value] : options.values()) {
    for (const char* volatile_end : {".checkpoint_every", ".log_every", ".keep", ".preview_every", ".export_every", ".max_rollbacks"}) {
      if (key.ends_with(volatile_end)) out.erase(key);
    }
  }
  out["run.seed"] = seed;
  out["images_hash"] = dataset.images_hash();
  return out;
}

int exit_code(train::Outcome outcome, bool save_failed) {
  if (outcome == train::Outcome::kStopped) return static_cast<int>(ExitCode::kRequeue);
  return static_cast<int>(save_failed ? ExitCode::kRuntime : ExitCode::kDone);
}

}  // namespace hebm::cli
