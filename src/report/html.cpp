#include "report/html.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <ctime>

namespace hebm::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

unsigned char byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

// Length of the well-formed UTF-8 sequence that starts at i (Unicode 15, Table 3-7), 0 where there
// is none.
std::size_t sequence_length(std::string_view text, std::size_t i) {
  const unsigned char first = byte_at(text, i);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || i + length > text.size()) return 0;
  for (std::size_t j = 1; j < length; ++j) {
    if ((byte_at(text, i + j) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte_at(text, i + 1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool outside = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
  return overlong || outside ? 0 : length;
}

std::string_view entity(char c) {
  switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return {};
  }
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    const unsigned char c = byte_at(text, i);
    const bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
    if (length == 0 || control) {
      out += kReplacement;
      ++i;
      continue;
    }
    const std::string_view replaced = entity(text[i]);
    out += replaced.empty() ? text.substr(i, length) : replaced;
    i += length;
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) group = group << 8 | (i + j < bytes.size() ? byte_at(bytes, i + j) : 0u);
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j <= bytes.size() ? kAlphabet[group >> (18 - 6 * j) & 63u] : '=';
    }
  }
  return out;
}

std::string format_number(double value) {
  if (std::isnan(value)) return "-";
  if (value == 0.0) return "0";  // not "-0"
  return fmt::format("{:.4g}", value);
}

std::string utc(double seconds) {
  const auto time = static_cast<std::time_t>(std::clamp(seconds, 0.0, 1e11));
  std::tm parts{};
  char text[64];
  if (seconds < 0 || seconds > 1e11 || gmtime_r(&time, &parts) == nullptr) return format_number(seconds);
  return std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts) > 0 ? text : format_number(seconds);
}

}  // namespace hebm::report
