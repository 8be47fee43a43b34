// Names of foreign files made safe for messages: no terminal escapes or broken UTF-8, not long.
#pragma once
#include <fmt/core.h>
#include <string>
#include <string_view>

namespace hebm::storage {

inline std::string printable(std::string_view text, std::size_t max_bytes = 200) {
  std::string out;
  for (const unsigned char c : text.substr(0, max_bytes)) {
    out += c >= 0x20 && c < 0x7f ? std::string(1, static_cast<char>(c)) : fmt::format("\\x{:02x}", c);
  }
  return text.size() > max_bytes ? out + "..." : out;
}

}  // namespace hebm::storage
