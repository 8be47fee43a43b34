// Text under options.h: values as text and back, INI files, and the nearest of some names.
#pragma once
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hebm::detail {

std::string_view trim(std::string_view text);
std::vector<std::string> words_of(const std::string& text);  // what blanks separate

// The whole text but blanks around it as a value: no junk behind it, NaN, infinity or overflow.
template <class T> std::optional<T> parse_number(std::string_view text) {
  text = trim(text);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);  // from_chars knows no plus sign
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(static_cast<double>(value)) ? std::optional(value) : std::nullopt;
}
std::optional<bool> parse_bool(std::string_view text);  // true false 1 0 yes no on off

// A string as it stands in an INI: bare where that reads back as itself, else in double quotes.
std::string quote(std::string_view value);

struct IniEntry {
  std::string key;  // "section.name"
  std::string value;
  int line = 0;
};

// [section] headers, `name = value`, comments: whole lines from '#' or ';', and after a value from
// a '#' that follows a blank. A value in double quotes may hold anything (escapes: \" \\ \n \t \r).
// A key may stand once only. Error(kUsage) with `file` and line on anything else.
std::vector<IniEntry> parse_ini(const std::string& file, std::string_view text);

// The content of a regular file of at most 1 MiB; Error(kUsage) otherwise.
std::string read_config_file(const std::string& path);

// `--preset NAME`: the file of a configuration that comes with the program, in
// share/hebm_dist/configs beside the program's folder, else in the sources it was built from.
// Error(kUsage) naming what there is.
std::string preset_file(const std::string& name);

// The name nearest to `text` by edit distance, if one is near enough to be meant. A dotted name
// also competes with its last part alone ("--steps" finds "langevin.steps").
std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& names);

}  // namespace hebm::detail
