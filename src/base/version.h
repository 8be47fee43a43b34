// The project's version, as CMakeLists.txt says it (a test compares the two). Recorded in every
// file this program writes.
#pragma once

namespace hebm {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace hebm
