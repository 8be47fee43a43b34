#include "storage/json.h"
#include <algorithm>
#include "base/printable.h"

namespace hebm::storage {
namespace {

// "[json.exception.parse_error.101] parse error at ..." without the name of the library's class.
std::string reason_of(const nlohmann::json::exception& error) {
  const std::string_view text = error.what();
  const std::size_t end = text.starts_with('[') ? text.find("] ") : std::string_view::npos;
  return printable(end == std::string_view::npos ? text : text.substr(end + 2), 300);
}

}  // namespace

std::string json_excess(std::string_view text) {
  if (text.size() > kMaxJsonBytes) return fmt::format("{} bytes, at most {} are allowed", text.size(), kMaxJsonBytes);
  std::size_t depth = 0, deepest = 0, values = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '"':  // to its end; a parser stops at the end of the text, too
        for (++i; i < text.size() && text[i] != '"'; ++i) i += text[i] == '\\' ? 1 : 0;
        break;
      case '[':
      case '{':
        deepest = std::max(deepest, ++depth);
        ++values;
        break;
      case ']':
      case '}': depth -= depth > 0 ? 1 : 0; break;
      case ',': ++values; break;
      default: break;
    }
  }
  if (deepest > kMaxJsonDepth) return fmt::format("nested {} deep, at most {} are allowed", deepest, kMaxJsonDepth);
  if (values > kMaxJsonValues) return fmt::format("{} values, at most {} are allowed", values, kMaxJsonValues);
  return "";
}

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  const std::string excess = json_excess(text);
  check(excess.empty(), ExitCode::kCorrupt, "{}: JSON out of bounds: {}", where, excess);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail(ExitCode::kCorrupt, "{}: expected JSON, got text that does not parse: {}", where, reason_of(error));
  }
}

nlohmann::json lenient_json(std::string_view text) {
  if (!json_excess(text).empty()) return nlohmann::json::value_t::discarded;
  return nlohmann::json::parse(text, nullptr, false);
}

}  // namespace hebm::storage
