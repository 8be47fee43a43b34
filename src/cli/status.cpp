#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <system_error>

#include "base/error.h"
#include "cli/command.h"
#include "cli/prior_kind.h"
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
    if (folder.starts_with(prefix) && !is_prior_kind(folder.substr(prefix.size())))
      out.push_back(folder.substr(prefix.size()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

int status_command(Arguments args) {
  Options options("hebm_dist status RUN [--json]",
                  "Says from the files alone which parts of a run are done, resumable or failed.");
  std::string directory;
  bool json = false, count_start = false, restarted = false;
  std::int64_t max_restarts = sweep::kMaxRestarts;
  options.add_positional("RUN", &directory, "run directory", true);
  options.add("json", &json, "for machines", Show::kCommon);
  options.add("count_start", &count_start,
              "for batch scripts, at each start of a job: notes how far the run has come; exit code 1 when "
              "max_restarts restarts in a row have found nothing new");
  options.add("restarted", &restarted, "with count_start: a scheduler started this job again, nobody asked for it");
  options.add("max_restarts", &max_restarts, "with count_start", {0, 1000});
  if (options.parse(args) == Options::Action::kHelpShown) return 0;
  if (count_start) {
    sweep::note_start(directory, restarted, max_restarts);
    return 0;
  }
  const RunPaths paths{std::filesystem::path(directory)};
  check(fs::is_directory(paths.run), ExitCode::kUsage, "{} is not a folder", directory);
  nlohmann::json out;
  out["train-vae"] = part_state(paths.vae.parent_path(), paths.vae);
  out["train-features"] = part_state(paths.features.parent_path(), paths.features);
  const bool cached = fs::exists(paths.cache / "index.json");
  out["encode"] = {{"state", cached ? "done" : fs::exists(paths.cache) ? "resumable" : "not started"}};
  out["train"] = part_state(paths.prior_directory, paths.own_prior());
  out["sample"] = {{"state", fs::exists(paths.samples() / "diffusion.h5") ? "done" : "not started"}};
  std::vector<std::string> parts = {"train-vae", "train-features", "encode", "train", "sample", "evaluate"};
  for (const std::string kind : {"joint", "nce"}) {  // where somebody trained them
    const RunPaths of_kind(paths.run, kind);
    if (!fs::exists(of_kind.prior_directory)) continue;
    parts.push_back("train " + kind);
    out[parts.back()] = part_state(of_kind.prior_directory, of_kind.prior);
  }
  for (const auto& name : coupled_priors(paths.run)) {
    const fs::path folder = paths.run / ("prior-" + name);
    parts.push_back("couple " + name);
    out[parts.back()] = part_state(folder, folder / "prior.safetensors");
  }
  out["evaluate"] = {{"state", fs::exists(paths.summary()) ? "done" : "not started"}};
  if (json) {
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

}  // namespace hebm::cli
