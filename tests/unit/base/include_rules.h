// The module table of docs/tour.md as a check of source text: who may include whom, and what is
// banned where.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hebm::testing_rules {

// C++ text with comments blanked out (lines stay), and with the content of literals too if asked
// for.
std::string strip(std::string_view text, bool literals);

// Violations of the file `path` (relative to the project: "src/prior/langevin.h",
// "data_tools/main.cpp") with content `text`, each one sentence that starts with path:line. Empty:
// none.
std::vector<std::string> violations(const std::string& path, std::string_view text);

}  // namespace hebm::testing_rules
