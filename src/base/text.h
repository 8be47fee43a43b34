// Lists in the text of an option.
#pragma once
#include <string>
#include <vector>

namespace hebm {

// "a,b," -> "a", "b", "": one part more than there are separators.
inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out = {""};
  for (const char c : text) {
    if (c == separator) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

}  // namespace hebm
