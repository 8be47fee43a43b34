#include <fmt/format.h>
#include <iostream>
#include <set>
#include <system_error>
#include "base/error.h"
#include "cli/context.h"
#include "sweep/tasks.h"

namespace hebm::cli {
namespace {

namespace fs = std::filesystem;
namespace files = storage::run_files;

// State of one trained part, from its files alone.
nlohmann::json part_state(const fs::path& artifact) {
  const auto [manifest, problem] = sweep::newest_checkpoint(artifact.parent_path());
  nlohmann::json out = {{"state", "not started"}};
  if (!manifest.is_null()) {
    out = {{"state", "resumable"}, {"step", manifest.at("step")}, {"attempt", manifest.value("attempt", 0)}};
  } else if (!problem.empty()) {
    out = {{"state", "failed"}, {"reason", problem}};
  }
  if (fs::exists(artifact)) out["state"] = "done";
  return out;
}

// Of the prior.kinds that somebody trained, then of what `couple` made or makes, by name.
std::vector<std::pair<std::string, fs::path>> other_priors(const fs::path& run) {
  std::vector<std::pair<std::string, fs::path>> out;
  for (const PriorKind& kind : prior_kinds()) {
    if (kind.objective != nullptr && !kind.is_default() && fs::exists(run / kind.folder()))
      out.emplace_back(fmt::format("train {}", kind.name), run / kind.folder() / files::kPriorFile);
  }
  std::set<std::string> coupled;
  const std::string prefix = files::prior_folder("");
  std::error_code error;
  for (fs::directory_iterator it(run, error), end; !error && it != end; it.increment(error)) {
    const std::string folder = it->path().filename().string();
    if (folder.starts_with(prefix)) coupled.insert(folder.substr(prefix.size()));
  }
  for (const std::string& name : coupled) {
    if (find_prior_kind(name) == nullptr)
      out.emplace_back("couple " + name, run / files::prior_folder(name) / files::kPriorFile);
  }
  return out;
}

void print_state(const nlohmann::json& state, const std::string& part) {
  std::string line = fmt::format("{:<15} {}", part, state["state"].get<std::string>());
  if (state.contains("step")) line += fmt::format(", newest verified update {}", state["step"].get<std::int64_t>());
  if (state.contains("reason")) line += ": " + state["reason"].get<std::string>();
  std::cout << line << "\n";
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
        "for batch scripts, at each start of a job: notes how far the run has come; exit code 1 when max_restarts "
        "restarts in a row have found nothing new");
    options.add("restarted", &restarted_, "with count_start: a scheduler started this job again, nobody asked for it");
    options.add("max_restarts", &max_restarts_, "with count_start", {0, 1000});
  }

  int execute(const Invocation&) override {
    if (count_start_) {
      sweep::note_start(directory_, restarted_, max_restarts_);
      return 0;
    }
    const RunPaths paths({.directory = directory_});
    check(fs::is_directory(paths.run), ExitCode::kUsage, "{} is not a folder", directory_);
    std::vector<std::string> parts;
    nlohmann::json out;
    const auto add = [&](const std::string& part, const nlohmann::json& state) {
      parts.push_back(part);
      out[part] = state;
    };
    const auto made = [](bool done) { return nlohmann::json{{"state", done ? "done" : "not started"}}; };
    add("train-vae", part_state(paths.vae));
    add("train-features", part_state(paths.features));
    const bool cached = fs::exists(paths.run / files::kCacheIndex);
    add("encode", {{"state", cached ? "done" : fs::exists(paths.cache) ? "resumable" : "not started"}});
    add("train", part_state(paths.prior));
    add("sample", made(fs::exists(paths.own_samples)));
    add("evaluate", made(fs::exists(paths.summary)));
    for (const auto& [part, artifact] : other_priors(paths.run)) add(part, part_state(artifact));
    if (json_) {
      std::cout << out.dump(2) << "\n";
    } else {
      for (const std::string& part : parts) print_state(out[part], part);
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
