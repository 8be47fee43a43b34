// What a sweep has to run: the shared part once, then each member; and how each of them stands, from
// its folder alone. Whoever runs it records steps and ends in state.json.
#pragma once
#include <array>
#include <filesystem>
#include <string>
#include <vector>
#include "sweep/plan.h"

namespace hebm::sweep {

enum class Standing { kWaiting, kRunning, kResumable, kFailed, kDone };
inline constexpr std::array kStandings = {"waiting", "running", "resumable", "failed", "done"};
constexpr const auto& names_of(Standing) { return kStandings; }
constexpr const char* word_of(Standing standing) { return kStandings[static_cast<std::size_t>(standing)]; }

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
  // Done where all products are there. Running where somebody alive holds the folder's lease. Failed
  // as recorded. Else resumable where something was begun: saved, killed or lost.
  State state() const;
  bool done() const;
};

// train-vae, train-features and encode, without those whose result the sweep's file gives (run.vae,
// run.features, run.cache).
Task shared_task(const Layout& layout, const Plan& plan);
// train, sample, evaluate.
Task member_task(const Layout& layout, const Plan& plan, const Member& member);

// What a command said last about an error, from the end of its output; its last line where it says
// no "error:".
std::string last_error(const std::filesystem::path& output);

}  // namespace hebm::sweep
