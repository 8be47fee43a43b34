// JSON that came from outside, within bounds of depth, length and number of values. Every text that
// this program parses comes through here, and what it writes keeps the same bounds.
#pragma once
#include <fmt/format.h>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include "base/error.h"

namespace hebm::storage {

inline constexpr std::size_t kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxJsonBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxJsonValues = std::size_t{1} << 20;  // 99,999 shards of a cache take 500,000

// Error(kCorrupt) with `where` in front: not JSON, or out of bounds.
nlohmann::json parse_json(std::string_view text, const std::string& where);
// The same without errors: then it is_discarded(), and holds no field.
nlohmann::json lenient_json(std::string_view text);

// "" or why a text is out of bounds. It looks at the text alone, before anything is built.
std::string json_excess(std::string_view text);

// For a file or an attribute. Bytes that are not UTF-8 become U+FFFD. Error(kRuntime) for what
// parse_json would refuse. indent: of each level; -1: on one line.
template <class Json> std::string json_text(const Json& json, int indent = -1) {
  std::string text = json.dump(indent, ' ', false, Json::error_handler_t::replace);
  const std::string excess = json_excess(text);
  check(excess.empty(), ExitCode::kRuntime, "JSON that could not be read back is not written: {}", excess);
  return text;
}

// For a message: the start of a value on one line, in ASCII. Formatted only where it is told.
struct Shown {
  const nlohmann::json& value;
  std::size_t max_bytes = 60;
};

}  // namespace hebm::storage

template <> struct fmt::formatter<hebm::storage::Shown> : fmt::formatter<std::string> {
  template <class Context> auto format(const hebm::storage::Shown& shown, Context& context) const {
    std::string text = shown.value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (text.size() > shown.max_bytes) text = text.substr(0, shown.max_bytes - 3) + "...";
    return fmt::format_to(context.out(), "{}", text);
  }
};
