#include "sweep/tasks.h"
#include <fmt/format.h>
#include <algorithm>
#include <sstream>
#include "base/options_text.h"
#include "results/json.h"
#include "storage/files.h"
#include "storage/lease.h"
#include "storage/printable.h"
#include "storage/run_files.h"

namespace hebm::sweep {
namespace {

namespace fs = std::filesystem;
namespace files = storage::run_files;

constexpr std::uint64_t kMaxState = 64 << 10, kTail = 16 << 10;
constexpr std::size_t kLongestWhy = 600;

fs::path state_file(const fs::path& folder) { return folder / "state.json"; }

State recorded(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(state_file(folder), error)) return {};
  const auto json = nlohmann::json::parse(storage::read_file(state_file(folder), kMaxState), nullptr, false);
  return json.is_object() ? results::from_json<State>(json) : State{.standing = Standing::kResumable};
}

fs::path given_or(const Plan& plan, const char* key, const fs::path& own) {
  const std::string given = plan.value(key);
  return given.empty() ? own : fs::path(given);
}

// Whether any member reads the latent cache.
bool needs_cache(const Plan& plan) { return plan.value("train.source") != "online" || plan.varies("train.source"); }

}  // namespace

void record_state(const fs::path& folder, const State& state) {
  const std::string text = results::to_json(state).dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  storage::write_file_atomic(state_file(folder), text + "\n");
}

bool Task::done() const {
  std::error_code error;
  return std::all_of(
      products.begin(), products.end(), [&](const fs::path& product) { return fs::exists(product, error); });
}

State Task::state() const {
  if (done()) return {.standing = Standing::kDone};
  State out = recorded(folder);
  if (const auto holder = storage::Lease::holder_of(folder)) {
    out.standing = Standing::kRunning;
    out.why = *holder;
  } else if (out.standing == Standing::kRunning || out.standing == Standing::kDone) {
    out.standing = Standing::kResumable;  // killed, or its products were removed
  }
  return out;
}

Task shared_task(const Layout& layout, const Plan& plan) {
  const fs::path run = layout.shared();
  Task task{.label = "shared", .folder = run};
  const std::vector<std::string> options = {"--config", layout.common().string(), "--run.directory", run.string()};
  const auto add = [&](const char* key, const char* command, const char* product) {
    if (!plan.value(key).empty()) return;
    task.steps.push_back({command, options});
    task.products.push_back(run / product);
  };
  add("run.vae", "train-vae", files::kVae);
  add("run.features", "train-features", files::kFeatures);
  if (needs_cache(plan)) add("run.cache", "encode", files::kCacheIndex);
  return task;
}

Task member_task(const Layout& layout, const Plan& plan, const Member& member) {
  const fs::path run = layout.member(member), shared = layout.shared();
  const fs::path copy = shared / files::kReadjustedVae;  // of vae.bn_readjust
  std::error_code error;
  const fs::path vae = fs::exists(copy, error) ? copy : given_or(plan, "run.vae", shared / files::kVae);
  const std::vector<std::string> options = {"--config", layout.common().string(), "--config",
      layout.member_ini(member).string(), "--run.directory", run.string(), "--run.vae", vae.string(), "--run.features",
      given_or(plan, "run.features", shared / files::kFeatures).string(), "--run.cache",
      given_or(plan, "run.cache", shared / files::kCache).string()};
  Task task{.label = fmt::format("member {} ({})", member.name(), member.describe()),
      .folder = run,
      .products = {run / files::kSummary}};
  for (const char* command : {"train", "sample", "evaluate"}) task.steps.push_back({command, options});
  return task;
}

std::string last_error(const fs::path& output) {
  std::error_code error;
  if (!fs::is_regular_file(output, error)) return "";
  const storage::ReadOnlyFile file(output);
  const std::uint64_t size = std::min(file.size(), kTail);
  std::string tail(size, '\0');
  file.read_at(file.size() - size, std::as_writable_bytes(std::span(tail)));
  std::istringstream lines(tail);
  std::string said, last;
  for (std::string line; std::getline(lines, line);) {
    if (const std::size_t at = line.find("error: "); at != std::string::npos) said = line.substr(at + 7);
    if (!detail::trim(line).empty()) last = line;
  }
  return storage::printable(said.empty() ? last : said, kLongestWhy);
}

}  // namespace hebm::sweep
