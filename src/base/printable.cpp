#include "base/printable.h"
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cstdint>
#include <iostream>

namespace hebm {
namespace {

struct Letter {
  std::size_t bytes = 1;
  std::uint32_t code = 0;
  bool is_valid = false;
};

// The first letter of UTF-8, in its shortest form and no surrogate.
Letter first_letter(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {1, lead, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {1, lead, false};
  std::uint32_t code = lead & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {1, lead, false};
    code = code << 6U | (byte(i) & 0x3fU);
  }
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || is_surrogate) return {1, lead, false};
  return {bytes, code, true};
}

// C1 controls, line separators, and what turns the direction of the text around it.
bool is_hidden(std::uint32_t code) {
  return (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

std::string escaped(std::string_view text, std::string_view kept) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Letter letter = first_letter(text);
    const std::string_view bytes = text.substr(0, letter.bytes);
    const bool is_control = letter.code < 0x20 && kept.find(text[0]) == std::string_view::npos;
    if (!letter.is_valid || is_control) {
      out += fmt::format("\\x{:02x}", letter.code);
    } else if (is_hidden(letter.code)) {
      out += fmt::format("\\u{:04x}", letter.code);
    } else {
      out += bytes;
    }
    text.remove_prefix(letter.bytes);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return escaped(text, "");
  std::size_t end = max_bytes;  // not in the middle of a letter
  while (end > 0 && end + 4 > max_bytes && (static_cast<std::uint8_t>(text[end]) & 0xc0U) == 0x80U) --end;
  return escaped(text.substr(0, end), "") + "...";
}

std::string terminal_text(std::string_view text) { return escaped(text, "\n\t"); }

std::streamsize SafeStreams::Buffer::xsputn(const char* text, std::streamsize size) {
  const std::string safe = terminal_text({text, static_cast<std::size_t>(size)});
  const auto length = static_cast<std::streamsize>(safe.size());
  return sink_->sputn(safe.data(), length) == length ? size : 0;
}

int SafeStreams::Buffer::overflow(int c) {
  if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
  const char letter = traits_type::to_char_type(c);
  return xsputn(&letter, 1) == 1 ? c : traits_type::eof();
}

SafeStreams::SafeStreams() : out_(std::cout.rdbuf()), error_(std::cerr.rdbuf()) {
  std::cout.rdbuf(&out_);
  std::cerr.rdbuf(&error_);
}

SafeStreams::~SafeStreams() {
  std::cout.flush();
  std::cout.rdbuf(out_.sink());
  std::cerr.rdbuf(error_.sink());
}

}  // namespace hebm
