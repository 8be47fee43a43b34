#include "sweep/tasks.h"
#include <fmt/format.h>
#include <algorithm>
#include <functional>
#include <sstream>
#include "base/error.h"
#include "base/options_text.h"
#include "base/printable.h"
#include "results/json.h"
#include "storage/files.h"
#include "storage/lease.h"
#include "storage/lenient_json.h"
#include "storage/run_files.h"
#include "storage/verified_directory.h"

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
  const auto json = storage::lenient_json(storage::read_file(state_file(folder), kMaxState));
  return json.is_object() ? results::from_json<State>(json) : State{.standing = Standing::kResumable};
}

fs::path given_or(const Plan& plan, const char* key, const fs::path& own) {
  const std::string given = plan.value(key);
  return given.empty() ? own : fs::path(given);
}

// Whether any member reads the latent cache.
bool needs_cache(const Plan& plan) { return plan.value("train.source") != "online" || plan.varies("train.source"); }

// What is in a folder; nothing where there is none.
std::vector<fs::path> entries(const fs::path& folder) {
  std::error_code error;
  return {fs::directory_iterator(folder, error), fs::directory_iterator()};
}

struct Starts {
  Progress reached;
  std::int64_t without_progress = 0;
  static void fields(auto& s, auto& visit) {
    visit("products", s.reached.products, "steps", s.reached.steps, "restarts_without_progress", s.without_progress);
  }
};

}  // namespace

void record_state(const fs::path& folder, const State& state) {
  const std::string text = storage::json_text(results::to_json(state), 2);
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
  const auto own_kind = member.settings.find("prior.kind");
  const std::string kind = own_kind == member.settings.end() ? plan.value("prior.kind") : own_kind->second;
  Task task{.label = fmt::format("member {} ({})", member.name(), member.describe()),
      .folder = run,
      .products = {run / files::summary(kind)}};
  for (const char* command : {"train", "sample", "evaluate"}) task.steps.push_back({command, options});
  return task;
}

std::string last_error(const fs::path& output) {
  std::error_code error;
  if (!fs::is_regular_file(output, error)) return "";
  const storage::ReadOnlyFile file(output);
  const std::uint64_t size = std::min(file.size(), kTail);
  std::istringstream lines(file.text(file.size() - size, size));
  std::string said, last;
  for (std::string line; std::getline(lines, line);) {
    if (const std::size_t at = line.find("error: "); at != std::string::npos) said = line.substr(at + 7);
    if (!detail::trim(line).empty()) last = line;
  }
  return printable(said.empty() ? last : said, kLongestWhy);
}

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
  // The artifacts of trainings; their checkpoints lie beside them until they are there.
  std::vector<fs::path> trained = {run / files::kVae, run / files::kFeatures};
  for (const fs::path& folder : entries(run)) {
    if (folder.filename().string().starts_with("prior")) trained.push_back(folder / files::kPriorFile);
  }
  for (const fs::path& artifact : trained)
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
  if (again) before = results::from_json<Starts>(storage::lenient_json(storage::read_file(file, 64 << 10)));
  if (restarted && again && now.reached <= before.reached) now.without_progress = before.without_progress + 1;
  check(now.without_progress <= max_restarts, ExitCode::kRuntime,
      "{}: restarted {} times without getting further than {}; log.txt there says why. It is not started again by "
      "itself",
      run.string(), max_restarts, now.reached.describe());
  storage::create_folders(run);
  storage::write_file_atomic(file, storage::json_text(results::to_json(now), 2) + "\n");
}

}  // namespace hebm::sweep
