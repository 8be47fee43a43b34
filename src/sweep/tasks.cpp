#include "sweep/tasks.h"
#include <fmt/format.h>
#include <initializer_list>
#include "sweep/run_files.h"

namespace hebm::sweep {
namespace {

namespace fs = std::filesystem;

fs::path given_or(const Plan& plan, const char* key, const fs::path& own) {
  const std::string given = plan.value(key);
  return given.empty() ? own : fs::path(given);
}

// Whether any member reads the latent cache.
bool needs_cache(const Plan& plan) { return plan.value("train.source") != "online" || plan.varies("train.source"); }

}  // namespace

Task shared_task(const Layout& layout, const Plan& plan) {
  const fs::path run = layout.shared();
  Task task{.label = "shared", .folder = run};
  const std::vector<std::string> options = {"--config", layout.common().string(), "--run.directory", run.string()};
  const auto add = [&](const char* key, const char* command, const char* product) {
    if (!plan.value(key).empty()) return;
    task.steps.push_back({command, options});
    task.products.push_back(run / product);
  };
  add("run.vae", "train-vae", kVae);
  add("run.features", "train-features", kFeatures);
  if (needs_cache(plan)) add("run.cache", "encode", kCacheIndex);
  return task;
}

Task member_task(const Layout& layout, const Plan& plan, const Member& member) {
  const fs::path run = layout.member(member), shared = layout.shared();
  const fs::path copy = shared / kReadjustedVae;  // of vae.bn_readjust
  std::error_code error;
  const fs::path vae = fs::exists(copy, error) ? copy : given_or(plan, "run.vae", shared / kVae);
  const std::vector<std::string> options = {"--config", layout.common().string(), "--config",
      layout.member_ini(member).string(), "--run.directory", run.string(), "--run.vae", vae.string(), "--run.features",
      given_or(plan, "run.features", shared / kFeatures).string(), "--run.cache",
      given_or(plan, "run.cache", shared / kCache).string()};
  Task task{.label = fmt::format("member {} ({})", member.name(), member.describe()),
      .folder = run,
      .products = {run / kSummary}};
  for (const char* command : {"train", "sample", "evaluate"}) task.steps.push_back({command, options});
  return task;
}

}  // namespace hebm::sweep
