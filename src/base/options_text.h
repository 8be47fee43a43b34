// Text under options.h: values as text and back, the INI reader, and the nearest of some names.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hebm::detail {

std::string_view trim(std::string_view text);
std::vector<std::string> words_of(const std::string& text);  // what blanks separate

// The whole text (blanks around it aside) as a value, or nothing: no trailing junk, no NaN, no
// infinity, no overflow.
std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<double> parse_double(std::string_view text);
std::optional<bool> parse_bool(std::string_view text);  // true false 1 0 yes no on off

std::string format_double(double value);  // shortest text that reads back to the same double

// A string as it stands in an INI: bare where that reads back as itself, else in double quotes.
std::string quote(std::string_view value);

// For messages: control bytes become '?', long text is cut.
std::string printable(std::string_view text);

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

// The name nearest to `text` by edit distance, if one is near enough to be meant. A dotted name
// also competes with its last part alone ("--steps" finds "langevin.steps").
std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& names);

void print_to_stdout(const std::string& text);                 // Error(kRuntime) if it does not get there
std::string without_trailing_blanks(const std::string& text);  // of each line
// Each line by itself, at blanks; a line that starts with a blank (a command to copy) stays as it
// is.
std::string wrapped(const std::string& text, std::size_t columns);

}  // namespace hebm::detail
