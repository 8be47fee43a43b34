#include <fmt/format.h>
#include <algorithm>
#include <iostream>
#include <system_error>
#include "base/error.h"
#include "cli/context.h"
#include "storage/files.h"
#include "storage/verified_directory.h"
#include "sweep/restarts.h"

namespace hebm::cli {
namespace {

namespace fs = std::filesystem;

// State of one trained part, from its files alone.
nlohmann::json part_state(const fs::path& directory, const fs::path& product) {
  nlohmann::json out = {{"state", "not started"}};
  const auto names = storage::list_directories(directory / "checkpoints", "step");
  for (const auto& name : names) {
    try {
      const auto manifest = storage::verify_directory(directory / "checkpoints" / name);
      out = {{"state", "resumable"}, {"step", manifest.at("step")}, {"attempt", manifest.value("attempt", 0)}};
      break;
    } catch (const Error& e) {
      out["state"] = "failed";
      out["reason"] = e.what();
    }
  }
  if (fs::exists(product)) out["state"] = "done";
  return out;
}

// NAMEs of RUN/prior-NAME that `couple` made or makes, sorted.
std::vector<std::string> coupled_priors(const fs::path& run) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(run, error), end; !error && it != end; it.increment(error)) {
    const std::string folder = it->path().filename().string(), prefix = "prior-";
    if (folder.starts_with(prefix) && find_prior_kind(folder.substr(prefix.size())) == nullptr)
      out.push_back(folder.substr(prefix.size()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

class Status : public Command {
 public:
  Status()
      : Command("hebm_dist status RUN [--json]",
            "Says from the files alone which parts of a run are done, resumable or failed.") {}

  void declare(Options& options) override {
    options.add_positional("RUN", &directory_, "run directory", true);
    options.add("json", &json_, "for machines", Show::kCommon);
    options.add("count_start", &count_start_,
        "for batch scripts, at each start of a job: notes how far the run has come; exit code 1 when "
        "max_restarts restarts in a row have found nothing new");
    options.add("restarted", &restarted_, "with count_start: a scheduler started this job again, nobody asked for it");
    options.add("max_restarts", &max_restarts_, "with count_start", {0, 1000});
  }

  int execute(const Invocation&) override {
    if (count_start_) {
      sweep::note_start(directory_, restarted_, max_restarts_);
      return 0;
    }
    const RunPaths paths{std::filesystem::path(directory_)};
    check(fs::is_directory(paths.run), ExitCode::kUsage, "{} is not a folder", directory_);
    nlohmann::json out;
    out["train-vae"] = part_state(paths.vae.parent_path(), paths.vae);
    out["train-features"] = part_state(paths.features.parent_path(), paths.features);
    const bool cached = fs::exists(paths.cache / "index.json");
    out["encode"] = {{"state", cached ? "done" : fs::exists(paths.cache) ? "resumable" : "not started"}};
    out["train"] = part_state(paths.prior_directory, paths.own_prior());
    out["sample"] = {{"state",
        fs::exists(paths.samples() / fmt::format("{}.h5", default_prior_kind().name)) ? "done" : "not started"}};
    std::vector<std::string> parts = {"train-vae", "train-features", "encode", "train", "sample", "evaluate"};
    for (const PriorKind& kind : prior_kinds()) {  // where somebody trained them
      const RunPaths of_kind(paths.run, kind);
      if (kind.objective == nullptr || kind.is_default() || !fs::exists(of_kind.prior_directory)) continue;
      parts.push_back(fmt::format("train {}", kind.name));
      out[parts.back()] = part_state(of_kind.prior_directory, of_kind.prior);
    }
    for (const auto& name : coupled_priors(paths.run)) {
      const fs::path folder = paths.run / ("prior-" + name);
      parts.push_back("couple " + name);
      out[parts.back()] = part_state(folder, folder / "prior.safetensors");
    }
    out["evaluate"] = {{"state", fs::exists(paths.summary()) ? "done" : "not started"}};
    if (json_) {
      std::cout << out.dump(2) << "\n";
      return 0;
    }
    for (const std::string& part : parts) {
      std::string line = fmt::format("{:<15} {}", part, out[part]["state"].get<std::string>());
      if (out[part].contains("step"))
        line += fmt::format(", newest verified update {}", out[part]["step"].get<std::int64_t>());
      if (out[part].contains("reason")) line += ": " + out[part]["reason"].get<std::string>();
      std::cout << line << "\n";
    }
    return 0;
  }
 private:
  std::string directory_;
  bool json_ = false, count_start_ = false, restarted_ = false;
  std::int64_t max_restarts_ = sweep::kMaxRestarts;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"status">() { return std::make_unique<Status>(); }

}  // namespace hebm::cli
