#include "base/presets.h"
#include <fmt/ranges.h>
#include <algorithm>
#include <filesystem>
#include <vector>
#include "base/error.h"
#include "base/options_text.h"

namespace hebm::detail {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> folders() {
  std::vector<fs::path> out;
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  if (!failed) out.push_back(program.parent_path().parent_path() / "share" / "hebm_dist" / "configs");
  out.emplace_back(HEBM_CONFIGS);  // of the sources; set by CMake for this file
  return out;
}

}  // namespace

std::string preset_file(const std::string& name) {
  std::vector<std::string> there;
  for (const fs::path& folder : folders()) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed)) {
      if (entry.path().extension() != ".ini") continue;
      there.push_back(entry.path().stem().string());
      if (there.back() == name) return entry.path().string();
    }
    if (!there.empty()) break;
  }
  std::sort(there.begin(), there.end());
  fail(
      ExitCode::kUsage, "--preset {}: there is no such preset; there are: {}", printable(name), fmt::join(there, ", "));
}

}  // namespace hebm::detail
