#include "base/options_text.h"
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <sstream>
#include "base/error.h"
#include "base/text.h"

namespace hebm::detail {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

template <class T> std::optional<T> parse_number(std::string_view text) {
  text = trim(text);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);  // from_chars knows no plus sign
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// `text` starts behind the opening quote; *end is where the closing one stands. Nothing if it is
// not closed or an escape is unknown.
std::optional<std::string> unquote(std::string_view text, std::size_t* end) {
  std::string value;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      *end = i;
      return value;
    }
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    switch (text[i]) {
      case 'n': value += '\n'; break;
      case 't': value += '\t'; break;
      case 'r': value += '\r'; break;
      case '"':
      case '\\': value += text[i]; break;
      default: return std::nullopt;
    }
  }
  return std::nullopt;
}

std::string_view without_comment(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '#' && (i == 0 || is_blank(text[i - 1]))) return trim(text.substr(0, i));
  }
  return trim(text);
}

// Right of the equals sign.
std::string parse_value(const std::string& file, int line, std::string_view text) {
  text = trim(text);
  if (text.empty() || text[0] != '"') return std::string(without_comment(text));
  std::size_t end = 0;
  const std::optional<std::string> value = unquote(text.substr(1), &end);
  check(value.has_value(), ExitCode::kUsage,
      "{}:{}: the quoted value {} is not closed or has an escape other than "
      "\\\" \\\\ \\n \\t \\r",
      file, line, printable(text));
  const std::string_view rest = trim(text.substr(end + 2));
  check(rest.empty() || rest[0] == '#', ExitCode::kUsage, "{}:{}: '{}' follows the quoted value; only a comment may",
      file, line, printable(rest));
  return *value;
}

std::string parse_section(const std::string& file, int line, std::string_view text) {
  const std::size_t close = text.find(']');
  check(close != std::string_view::npos, ExitCode::kUsage, "{}:{}: the section header '{}' has no ]", file, line,
      printable(text));
  const std::string_view rest = trim(text.substr(close + 1)), name = trim(text.substr(1, close - 1));
  check(is_name(name) && (rest.empty() || rest[0] == '#' || rest[0] == ';'), ExitCode::kUsage,
      "{}:{}: '{}' is not a section header like [langevin]", file, line, printable(text));
  return std::string(name);
}

}  // namespace

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return is_blank(c) || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

std::optional<std::int64_t> parse_integer(std::string_view text) { return parse_number<std::int64_t>(text); }

std::optional<double> parse_double(std::string_view text) {
  const std::optional<double> value = parse_number<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<bool> parse_bool(std::string_view text) {
  text = trim(text);
  for (std::string_view yes : {"true", "1", "yes", "on"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"false", "0", "no", "off"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

std::string format_double(double value) { return fmt::format("{}", value); }

std::string quote(std::string_view value) {
  const auto plain = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '"' && c != '\x7f'; };
  const bool bare = !value.empty() && std::all_of(value.begin(), value.end(), plain) &&
                    value == without_comment(value) && value == trim(value);
  if (bare) return std::string(value);
  std::string text = "\"";
  for (char c : value) {
    switch (c) {
      case '\n': text += "\\n"; break;
      case '\t': text += "\\t"; break;
      case '\r': text += "\\r"; break;
      case '"':
      case '\\': text += '\\', text += c; break;
      default: text += c;
    }
  }
  return text + '"';
}

std::string printable(std::string_view text) {
  constexpr std::size_t kMaxShown = 200;
  std::string shown(text.substr(0, kMaxShown));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return text.size() > kMaxShown ? shown + "..." : shown;
}

std::vector<IniEntry> parse_ini(const std::string& file, std::string_view text) {
  check(text.find('\0') == std::string_view::npos, ExitCode::kUsage,
      "{}: has a zero byte, so it is not a configuration file", file);
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // byte-order mark of some editors
  std::vector<IniEntry> entries;
  std::map<std::string, int> first_line;
  std::string section;
  for (int line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    const std::string_view content = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    if (content[0] == '[') {
      section = parse_section(file, line, content);
      continue;
    }
    const std::size_t equals = content.find('=');
    const std::string_view name = trim(content.substr(0, equals));
    check(equals != std::string_view::npos && is_name(name), ExitCode::kUsage,
        "{}:{}: '{}' is neither [section] nor name = value nor a # comment", file, line, printable(content));
    check(!section.empty(), ExitCode::kUsage, "{}:{}: '{}' stands before the first [section]", file, line,
        printable(name));
    IniEntry entry{section + '.' + std::string(name), parse_value(file, line, content.substr(equals + 1)), line};
    const auto [first, fresh] = first_line.emplace(entry.key, line);
    check(fresh, ExitCode::kUsage, "{}:{}: {} was already set in line {}; remove one of the two", file, line,
        printable(entry.key), first->second);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::string read_config_file(const std::string& path) {
  const std::string shown = printable(path);
  // Non-blocking, so that a named pipe is refused below instead of waited for.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check(descriptor >= 0, ExitCode::kUsage, "--config {}: cannot open: {}", shown, std::strerror(errno));
  struct Closer {
    int descriptor;
    ~Closer() { static_cast<void>(::close(descriptor)); }  // read only: nothing can be lost
  } closer{descriptor};
  struct stat status {};
  check(::fstat(descriptor, &status) == 0, ExitCode::kUsage, "--config {}: {}", shown, std::strerror(errno));
  check(S_ISREG(status.st_mode), ExitCode::kUsage, "--config {}: not a regular file", shown);
  std::string text(kMaxFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(descriptor, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, ExitCode::kUsage, "--config {}: cannot read: {}", shown, std::strerror(errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  check(size <= kMaxFileBytes, ExitCode::kUsage, "--config {}: more than {} bytes; is it a configuration file?", shown,
      kMaxFileBytes);
  text.resize(size);
  return text;
}

std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& names) {
  constexpr std::size_t kMaxMeant = 100;
  if (text.size() > kMaxMeant) return std::nullopt;
  std::optional<std::string> best;
  // At most 2 edits, a third of a long name, and never every letter of it.
  std::size_t best_distance = std::min(text.size(), std::max<std::size_t>(2, text.size() / 3) + 1);
  for (const std::string& name : names) {
    std::size_t distance = edit_distance(text, name);
    const std::size_t dot = name.rfind('.');
    if (dot != std::string::npos && text.find('.') == std::string_view::npos) {
      distance = std::min(distance, edit_distance(text, std::string_view(name).substr(dot + 1)));
    }
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

void print_to_stdout(const std::string& text) {
  check(std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0, ExitCode::kRuntime,
      "cannot write to standard output: {}", std::strerror(errno));
}

std::string without_trailing_blanks(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\n') out.erase(out.find_last_not_of(' ') + 1);
    out += c;
  }
  return out;
}

namespace {

std::string wrapped_line(const std::string& text, std::size_t columns) {
  std::istringstream words(text);
  std::string out, word;
  for (std::size_t column = 0; words >> word; column += word.size()) {
    if (column > 0) {
      const bool full = column + 1 + word.size() > columns;
      out += full ? '\n' : ' ';
      column = full ? 0 : column + 1;
    }
    out += word;
  }
  return out;
}

}  // namespace

std::string wrapped(const std::string& text, std::size_t columns) {
  std::istringstream lines(text);
  std::string out, line;
  for (bool first = true; std::getline(lines, line); first = false) {
    out += (first ? "" : "\n") + (line.starts_with(' ') ? line : wrapped_line(line, columns));
  }
  return out;
}

}  // namespace hebm::detail
