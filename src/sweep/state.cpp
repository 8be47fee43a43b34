#include "sweep/state.h"
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include "base/error.h"
#include "base/options_text.h"
#include "storage/files.h"
#include "storage/lease.h"
#include "storage/lenient_json.h"
#include "storage/printable.h"

namespace hebm::sweep {
namespace {

namespace fs = std::filesystem;

constexpr std::array kWords = {"waiting", "running", "resumable", "failed", "done"};
constexpr std::uint64_t kMaxState = 64 << 10, kTail = 16 << 10;
constexpr std::size_t kLongestWhy = 600;

fs::path file_of(const fs::path& folder) { return folder / "state.json"; }

std::optional<State> recorded(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(file_of(folder), error)) return {};
  const auto json = nlohmann::json::parse(storage::read_file(file_of(folder), kMaxState), nullptr, false);
  if (!json.is_object()) return State{.standing = Standing::kResumable};
  State state;
  const auto word = std::find(kWords.begin(), kWords.end(), storage::text_in(json, "state"));
  if (word != kWords.end()) state.standing = static_cast<Standing>(word - kWords.begin());
  state.step = storage::text_in(json, "step");
  state.why = storage::text_in(json, "why");
  state.exit_code = static_cast<int>(storage::integer_in(json, "exit_code"));
  return state;
}

}  // namespace

const char* word_of(Standing standing) { return kWords[static_cast<std::size_t>(standing)]; }

State state_of(const fs::path& folder, const std::vector<fs::path>& products) {
  std::error_code error;
  const bool done = std::all_of(
      products.begin(), products.end(), [&](const fs::path& product) { return fs::exists(product, error); });
  if (done) return {.standing = Standing::kDone};
  const std::optional<State> before = recorded(folder);
  State state = before.value_or(State{});
  if (const auto holder = storage::Lease::holder_of(folder)) {
    state.standing = Standing::kRunning;
    state.why = *holder;
  } else if (state.standing == Standing::kRunning || state.standing == Standing::kDone) {
    state.standing = Standing::kResumable;  // killed, or its products were removed
  }
  return state;
}

void record_state(const fs::path& folder, const State& state) {
  const nlohmann::ordered_json json = {
      {"state", word_of(state.standing)}, {"step", state.step}, {"exit_code", state.exit_code}, {"why", state.why}};
  storage::write_file_atomic(
      file_of(folder), json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
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
