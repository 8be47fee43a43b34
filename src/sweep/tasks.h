// What a sweep has to run: the shared part once, then each member; how each of them stands, from
// its folder alone, and whether it may be started again by itself. Whoever runs it records steps
// and ends in state.json.
#pragma once
#include <array>
#include <compare>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "base/choice.h"
#include "sweep/plan.h"

namespace hebm::sweep {

enum class Standing { kWaiting, kRunning, kResumable, kFailed, kDone };
constexpr std::array<Choice<Standing>, 5> choices_of(Standing) {
  return {{{"waiting", Standing::kWaiting}, {"running", Standing::kRunning}, {"resumable", Standing::kResumable},
      {"failed", Standing::kFailed}, {"done", Standing::kDone}}};
}

struct State {
  Standing standing = Standing::kWaiting;
  std::string step{};          // the command it is at: "train"; "" where none was begun
  std::int64_t exit_code = 0;  // of kFailed and kResumable
  std::string why{};           // of kFailed: the error; of kRunning: who
  static void fields(auto& s, auto& visit) {
    visit("state", s.standing, "step", s.step, "exit_code", s.exit_code, "why", s.why);
  }
};
void record_state(const std::filesystem::path& folder, const State& state);

struct Step {
  std::string command;               // "train"
  std::vector<std::string> options;  // all of them
};

struct Task {
  std::string label;
  std::filesystem::path folder;
  std::vector<Step> steps{};
  std::vector<std::filesystem::path> products{};
  // Done where all products are there. Running where somebody alive holds the folder's lease.
  // Failed as recorded. Else resumable where something was begun: saved, killed or lost.
  State state() const;
  bool done() const;
};

// train-vae, train-features and encode, without those whose result the sweep's file gives (run.vae,
// run.features, run.cache).
Task shared_task(const Layout& layout, const Plan& plan);
// train, sample, evaluate.
Task member_task(const Layout& layout, const Plan& plan, const Member& member);

// How far a run directory has come, from its files alone. Artifacts (VAE, classifier, cache,
// priors, samples, results) come before steps: what the unfinished ones have reached, verified
// updates, whole shards and whole chunks.
struct Progress {
  std::int64_t products = 0, steps = 0;
  auto operator<=>(const Progress&) const = default;
  std::string describe() const;  // "3 products, 400 steps of the next"
};
Progress progress_of(const std::filesystem::path& run);

// Of a training's folder: the newest checkpoint that verifies, else what is wrong with the oldest.
struct Newest {
  nlohmann::json manifest;  // null: none
  std::string problem;      // "": there is none at all
};
Newest newest_checkpoint(const std::filesystem::path& training);

inline constexpr std::int64_t kMaxRestarts = 3;

// To be called at each start. restarted: nobody asked for it but a scheduler or a loop. Counts in
// RUN/starts.json; Error(kRuntime) when max_restarts restarts in a row have found nothing new. A
// start that somebody asked for begins a new count.
void note_start(const std::filesystem::path& run, bool restarted, std::int64_t max_restarts = kMaxRestarts);

// What a command said last about an error, from the end of its output; its last line where it says
// no "error:".
std::string last_error(const std::filesystem::path& output);

}  // namespace hebm::sweep
