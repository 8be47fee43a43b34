#include <fmt/format.h>
#include <iostream>
#include <set>
#include <system_error>
#include "base/error.h"
#include "cli/context.h"
#include "results/json.h"
#include "storage/json.h"
#include "sweep/tasks.h"

namespace hebm::cli {
namespace {

namespace fs = std::filesystem;
namespace files = storage::run_files;

struct PartState {
  std::string state = "not started";
  results::Count step, attempt;  // of the newest verified checkpoint
  std::string reason;            // of a failure
  static void fields(auto& s, auto& visit) {
    visit("state", s.state);
    visit.known("step", s.step, "attempt", s.attempt, "reason", s.reason);
  }
};

// Of one trained part, from its files alone.
PartState part_state(const fs::path& artifact) {
  const auto [manifest, problem] = sweep::newest_checkpoint(artifact.parent_path());
  PartState out;
  if (!manifest.is_null()) {
    out = {"resumable", manifest.at("step").get<std::int64_t>(), manifest.value("attempt", std::int64_t{0}), ""};
  } else if (!problem.empty()) {
    out = {"failed", {}, {}, problem};
  }
  if (fs::exists(artifact)) out.state = "done";
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
    const auto made = [](bool done) { return PartState{done ? "done" : "not started", {}, {}, ""}; };
    PartState cache = made(fs::exists(paths.run / files::kCacheIndex));
    if (cache.state != "done" && fs::exists(paths.cache)) cache.state = "resumable";
    std::vector<std::pair<std::string, PartState>> parts = {{"train-vae", part_state(paths.vae)},
        {"train-features", part_state(paths.features)}, {"encode", cache}, {"train", part_state(paths.prior)},
        {"sample", made(fs::exists(paths.own_samples))}, {"evaluate", made(fs::exists(paths.summary))}};
    for (const auto& [part, artifact] : other_priors(paths.run)) parts.emplace_back(part, part_state(artifact));
    nlohmann::json out;
    for (const auto& [part, state] : parts) {
      out[part] = results::to_json(state);
      if (json_) continue;
      std::cout << fmt::format("{:<15} {}", part, state.state)
                << (state.step ? fmt::format(", newest verified update {}", *state.step) : "")
                << (state.reason.empty() ? "" : ": " + state.reason) << "\n";
    }
    if (json_) std::cout << storage::json_text(out, 2) << "\n";
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
