// This machine's name.
#pragma once
#include <string>

namespace hebm {

// "unknown-host" where the system does not tell.
std::string host_name();

}  // namespace hebm
