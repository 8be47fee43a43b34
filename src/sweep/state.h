// How one member of a sweep (or its shared part) stands, from its folder alone. Whoever runs it
// records steps and ends in state.json.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace hebm::sweep {

enum class Standing { kWaiting, kRunning, kResumable, kFailed, kDone };
const char* word_of(Standing standing);  // "waiting", "running", ...

struct State {
  Standing standing = Standing::kWaiting;
  std::string step{};  // the command it is at: "train"; "" where none was begun
  int exit_code = 0;   // of kFailed and kResumable
  std::string why{};   // of kFailed: the error; of kRunning: who
};

// Done where all products are there. Running where somebody alive holds the folder's lease. Failed
// as recorded. Else resumable where something was begun: saved, killed or lost.
State state_of(const std::filesystem::path& folder, const std::vector<std::filesystem::path>& products);
void record_state(const std::filesystem::path& folder, const State& state);

// What a command said last about an error, from the end of its output; its last line where it says
// no "error:".
std::string last_error(const std::filesystem::path& output);

}  // namespace hebm::sweep
